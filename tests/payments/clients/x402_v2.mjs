// @x402/fetch 2.27.0: pays by version 2 (PAYMENT-SIGNATURE). Arguments: URL, file, content type, where to write.
import { readFile, writeFile } from "node:fs/promises";
import { ExactEvmScheme } from "@x402/evm";
import { wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { privateKeyToAccount } from "viem/accounts";

const [url, file, type, out] = process.argv.slice(2);
const account = privateKeyToAccount(process.env.PAYER_KEY);
const pay = wrapFetchWithPaymentFromConfig(fetch, {
  schemes: [{ network: "eip155:84532", client: new ExactEvmScheme(account) }],
});
const answer = await pay(url, { method: "POST", headers: { "Content-Type": type }, body: await readFile(file) });
if (answer.ok) await writeFile(out, Buffer.from(await answer.arrayBuffer()));
console.log(JSON.stringify({ status: answer.status, receipt: answer.headers.get("PAYMENT-RESPONSE") }));
