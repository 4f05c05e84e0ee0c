// mppx 0.11.0: pays by MPP on Tempo. Arguments: URL, file, content type, where to write, pull or push.
import { readFile, writeFile } from "node:fs/promises";
import { Mppx, tempo } from "mppx/client";
import { createClient, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { tempoModerato } from "viem/tempo/chains";

const [url, file, type, out, mode] = process.argv.slice(2);
const client = Mppx.create({
  polyfill: false,
  methods: [
    tempo.charge({
      account: privateKeyToAccount(process.env.PAYER_KEY),
      mode,
      getClient: ({ chainId }) =>
        createClient({ chain: { ...tempoModerato, id: chainId }, transport: http(process.env.MPP_RIG_RPC_URL) }),
    }),
  ],
});
const answer = await client.fetch(url, { method: "POST", headers: { "Content-Type": type }, body: await readFile(file) });
if (answer.ok) await writeFile(out, Buffer.from(await answer.arrayBuffer()));
console.log(JSON.stringify({ status: answer.status, receipt: answer.headers.get("Payment-Receipt") }));
