/** Makes the tests over epoll use `node:tls`. Import this before `install_epoll.ts`. */
import { useNodeTls } from "./engine.ts";

useNodeTls();
