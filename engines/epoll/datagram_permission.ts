import { requireNet } from "./permissions.ts";

const NET: Deno.PermissionDescriptor = { name: "net" };

/**
 * The permission to send to an address, for each datagram: Deno checks it for each, too.
 *
 * With `--allow-net` for all addresses, a check takes 10 ns: Deno keeps one status object for it, which `revoke()` changes at
 * once. It is queried again in each turn, for changes that Deno makes by other ways. Otherwise, the address is checked each
 * time, which takes 1 µs.
 */
export class DatagramPermission {
  #status: Deno.PermissionStatus | null = null;
  #forget = () => void (this.#status = null);

  /**
   * Requires the permission to send to an address.
   *
   * @throws {Deno.errors.NotCapable} If it is missing.
   */
  require(hostname: string, port: number): void {
    let status = this.#status;
    if (status === null) {
      this.#status = status = Deno.permissions.querySync(NET);
      queueMicrotask(this.#forget);
    }
    // Partial: all but what --deny-net names.
    if (status.state !== "granted" || status.partial) requireNet(hostname, port);
  }
}
