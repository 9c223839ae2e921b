/** The errors of the network in memory: the classes, codes and messages of the system's. */

function withCode<E extends Error>(error: E, code: string): E {
  return Object.assign(error, { code });
}

export function connectionReset(): Error {
  return withCode(new Deno.errors.ConnectionReset("Connection reset by peer (os error 104)"), "ECONNRESET");
}

export function connectionRefused(): Error {
  return withCode(new Deno.errors.ConnectionRefused("Connection refused (os error 111)"), "ECONNREFUSED");
}

export function brokenPipe(): Error {
  return withCode(new Deno.errors.BrokenPipe("Broken pipe (os error 32)"), "EPIPE");
}

export function addrInUse(): Error {
  return withCode(new Deno.errors.AddrInUse("Address already in use (os error 98)"), "EADDRINUSE");
}

export function noSuchSocket(): Error {
  return withCode(new Deno.errors.NotFound("No such file or directory (os error 2)"), "ENOENT");
}

export function messageTooLong(): Error {
  return withCode(new Error("Message too long (os error 90)"), "EMSGSIZE");
}

export function familyNotSupported(): Error {
  return withCode(new Error("Address family not supported by protocol (os error 97)"), "EAFNOSUPPORT");
}

export function broadcastNotAllowed(): Error {
  return withCode(new Deno.errors.PermissionDenied("Permission denied (os error 13)"), "EACCES");
}

/** The message is the system's, by which the loop knows that a name was looked up. */
export function unknownName(): Error {
  return new Error("failed to lookup address information: Name or service not known");
}
