/** For the tests of TLS by OpenSSL: a CA of the tests' own, by the program `openssl`. */
import { tempPath } from "../kit.ts";

/** The CA, and what it has signed. */
export interface TestCa extends Disposable {
  /** The path of a file. */
  path(name: string): string;
  /** Reads a text. */
  read(name: string): string;
  /** Runs `openssl` in the folder. The arguments are separated by spaces. */
  run(line: string): Promise<void>;
  /** `cert` and `key` of a name. */
  identity(name: string): { cert: string; key: string };
}

const CONFIG = `
[ca]
default_ca = here
[here]
dir = .
new_certs_dir = .
database = index
serial = serial
crlnumber = crlnumber
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
unique_subject = no
[any]
commonName = supplied
[leaf]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = DNS:localhost,IP:127.0.0.1
[middle]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[ocsp]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = OCSPSigning
[req]
distinguished_name = name
[name]
`;

const EC = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

/**
 * Makes a CA `ca`, which has signed `leaf` and `revoked` (both for localhost, and for clients), and has revoked the second in
 * `ca.crl`.
 */
export async function makeCa(): Promise<TestCa> {
  const temp = tempPath();
  const { directory } = temp;
  await Deno.mkdir(directory, { recursive: true });
  const path = (name: string) => `${directory}/${name}`;
  const read = (name: string) => Deno.readTextFileSync(path(name));
  await Deno.writeTextFile(path("ca.cnf"), CONFIG);
  await Deno.writeTextFile(path("index"), "");
  await Deno.writeTextFile(path("serial"), "1000");
  await Deno.writeTextFile(path("crlnumber"), "01");
  const run = async (line: string) => {
    const signal = AbortSignal.timeout(60_000);
    const command = new Deno.Command("openssl", { args: line.split(" "), cwd: directory, signal });
    const { success, stderr } = await command.output();
    if (!success) throw new Error(`openssl ${line}: ${new TextDecoder().decode(stderr)}`);
  };
  const ca: TestCa = {
    path,
    read,
    run,
    identity: (name) => ({ cert: read(`${name}.pem`), key: read(`${name}.key`) }),
    [Symbol.dispose]: () => temp[Symbol.dispose](),
  };
  await run(`req -x509 ${EC} -days 30 -keyout ca.key -out ca.pem -subj /CN=ca -config ca.cnf -extensions middle`);
  for (const name of ["leaf", "revoked"]) await sign(ca, name, "leaf");
  await run("ca -config ca.cnf -cert ca.pem -keyfile ca.key -revoke revoked.pem");
  await run("ca -config ca.cnf -cert ca.pem -keyfile ca.key -gencrl -out ca.crl");
  return ca;
}

/** Signs a certificate. `extensions`: `"leaf"`, `"middle"` for a CA, `"ocsp"` for a responder. */
export async function sign(ca: TestCa, name: string, extensions: string, issuer = "ca"): Promise<void> {
  await ca.run(`req ${EC} -keyout ${name}.key -out ${name}.csr -subj /CN=${name} -config ca.cnf`);
  const by = `-cert ${issuer}.pem -keyfile ${issuer}.key`;
  await ca.run(`ca -batch -notext -config ca.cnf ${by} -extensions ${extensions} -in ${name}.csr -out ${name}.pem`);
}
