// A client of dialect 004: create, execute once whoever asks, queue, follow, read back, list by wallet.
import { call, check, listen } from './common.mjs';

const wallet = `wallet-${process.pid}`;
const body = { userWallet: wallet, inputToken: 'SOL', outputToken: 'USDC', inputAmount: 10 };
const created = await call('/api/orders', 201, body);
check(created.success && created.data.status === 'pending', 'created, not queued');
const path = `/api/orders/${created.data.id}/execute`;
const answers = await Promise.all(Array.from({ length: 5 }, () => fetch((process.env.API_BASE ?? 'http://localhost:3000') + path, { method: 'POST' })));
check(answers.filter((answer) => answer.status === 200).length === 1, 'exactly one caller executes');
const losers = await Promise.all(answers.filter((answer) => answer.status === 400).map((answer) => answer.json()));
check(losers.length === 4 && losers.every(({ error }) => error.includes('is not in pending status')), 'the others are told');
const { data } = await call('/api/orders/execute', 201, body);
check(data.message === 'Order queued for execution', data.message);
const heard = await listen(`/ws/orders/${data.orderId}`, () => false); // the server closes
for (const { type, status, data } of heard) {
  check(type === 'status', type);
  console.log(new Date().toISOString(), status.toUpperCase(), data.selectedDex ?? '', data.outputAmount ?? '', data.txHash?.substring(0, 16) ?? data.error ?? '');
}
const read = await call(`/api/orders/${data.orderId}`, 200);
check(read.data.status === heard.at(-1).status, 'read back as it ended');
const mine = await call(`/api/orders/user/${wallet}?limit=50`, 200);
check(mine.count === 2 && mine.data.length === 2, 'both are listed');
check((await call(`/api/orders/user/${wallet}?limit=0`, 400)).error === 'Limit must be a number between 1 and 100', 'limits');
const health = await call('/health', 200);
check(health.database === 'connected' && health.redis === 'connected', 'healthy');
