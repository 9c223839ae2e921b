/** UDP over the epoll engine keeps the promises of datagrams: where the system has room, and where each datagram waits. */
import { EventLoop } from "../../mod.ts";
import { EpollEngine } from "../../engines/epoll/mod.ts";
import type { DatagramEndpoint } from "../../transports/engine.ts";
import type { DatagramHandle } from "../../transports/datagram_handle.ts";
import { datagramScenarios } from "../scenarios/datagrams.ts";
import { epollLoop, epollScenarios } from "./epoll_kit.ts";

/** Sends nothing at once, as if the system had no room. */
class BusyEngine extends EpollEngine {
  override async datagram(endpoint: DatagramEndpoint): Promise<DatagramHandle> {
    const handle = await super.datagram(endpoint);
    const { addr, remoteAddr, socket } = handle;
    return {
      addr,
      remoteAddr,
      socket,
      receiveStart: (sink) => handle.receiveStart(sink),
      send: (data, addr) => Promise.resolve().then(() => handle.send(data, addr)),
      close: () => handle.close(),
    };
  }
}

epollScenarios("datagrams", () => {
  datagramScenarios("epoll", () => epollLoop(), { atOnce: true });
  datagramScenarios("epoll without room", () => new EventLoop({ engine: new BusyEngine() }));
});
