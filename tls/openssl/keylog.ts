/** The option `keylog`: what becomes of a line. */
import { toError, withMessage } from "../../errors.ts";
import { isPromise, settle } from "../../promises.ts";
import type { TlsSettings } from "../../transports/tls_provider.ts";

type Keylog = NonNullable<TlsSettings["keylog"]>;

/** Only the user may read the file. A file that exists keeps its mode, which `Deno.writeFile` would change. */
const APPEND: Deno.OpenOptions = { append: true, create: true, mode: 0o600 };

/** Opens the file once, so that one that cannot be opened is an error of the call. Throws Deno's error with the option's name. */
export async function checkKeylog(keylog: Keylog | undefined): Promise<void> {
  if (keylog === undefined || typeof keylog === "function") return;
  let file: Deno.FsFile;
  try {
    file = await Deno.open(keylog, APPEND);
  } catch (error) {
    throw withMessage(toError(error), `keylog: ${toError(error).message}`);
  }
  try {
    // A FIFO cannot seek. It is opened again for each line, which would block the process until there is a reader. To ask for
    // the kind of the file would need the permission to read it.
    if (!file.isTerminal()) await file.seek(0, Deno.SeekMode.End);
  } catch (cause) {
    throw new TypeError(`keylog must be a function or the path of a file, got a FIFO: ${keylog}`, { cause });
  } finally {
    file.close();
  }
}

/** Passes a line to the program's function, or appends it to the file. Never throws; `report` gets what goes wrong, also later. */
export function passLine(keylog: Keylog, line: string, report: (error: Error) => void): void {
  try {
    if (typeof keylog !== "function") return append(keylog, line);
    const result: unknown = keylog(line);
    if (isPromise(result)) settle(result, undefined, (error) => report(toError(error)));
  } catch (error) {
    report(toError(error));
  }
}

/** Appends a line, in one write: other processes may append to the same file. */
function append(path: string | URL, line: string): void {
  const bytes = new TextEncoder().encode(`${line}\n`);
  const file = Deno.openSync(path, APPEND);
  try {
    for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
  } finally {
    file.close();
    bytes.fill(0);
  }
}
