// x402-fetch 1.2.0: pays by version 1 (X-PAYMENT). Arguments: URL, file, content type, where to write.
import { readFile, writeFile } from "node:fs/promises";
import { createWalletClient, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { baseSepolia } from "viem/chains";
import { wrapFetchWithPayment } from "x402-fetch";

const [url, file, type, out] = process.argv.slice(2);
const wallet = createWalletClient({
  account: privateKeyToAccount(process.env.PAYER_KEY),
  chain: baseSepolia,
  transport: http(process.env.X402_RIG_RPC_URL),
});
const pay = wrapFetchWithPayment(fetch, wallet); // refuses prices over 0.10 USDC
const answer = await pay(url, { method: "POST", headers: { "Content-Type": type }, body: await readFile(file) });
if (answer.ok) await writeFile(out, Buffer.from(await answer.arrayBuffer()));
console.log(JSON.stringify({ status: answer.status, receipt: answer.headers.get("X-PAYMENT-RESPONSE") }));
