// Compile RigDollar.sol to RigDollar.json (runtime code): node tests/payments/rig/token/compile.mjs
// Its output is committed; a test holds that it is what this source gives.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const solc = createRequire(process.env.RIG_NODE_MODULES ? process.env.RIG_NODE_MODULES + "/" : import.meta.url)("solc");
const input = {
  language: "Solidity",
  sources: { "RigDollar.sol": { content: readFileSync(join(here, "RigDollar.sol"), "utf8") } },
  settings: {
    optimizer: { enabled: true, runs: 200 },
    viaIR: true,
    evmVersion: "cancun",
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["evm.deployedBytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const error of output.errors ?? []) console.error(error.formattedMessage);
const runtime = output.contracts["RigDollar.sol"].RigDollar.evm.deployedBytecode.object;
const said = JSON.stringify({ compiler: `solc ${solc.version()}`, runtime: `0x${runtime}` }, null, 2) + "\n";
if (process.argv.includes("--check")) process.exit(readFileSync(join(here, "RigDollar.json"), "utf8") === said ? 0 : 1);
writeFileSync(join(here, "RigDollar.json"), said);
