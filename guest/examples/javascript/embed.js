// Runs user-auth inside a Node program: `npm ci && npm run build && npm start`.

import { readFile } from "node:fs/promises";
import { instantiate } from "../../../target/javascript/user-auth.js";
import { tour } from "./tour.js";

const folder = new URL("../../../target/javascript/", import.meta.url);
const compile = async (name) => WebAssembly.compile(await readFile(new URL(name, folder)));
const hashTime = await tour(instantiate, compile, (line) => console.log(line));
console.error(`a password hash takes ${hashTime.toFixed()} ms`);
