// A client of dialect 000: submit, subscribe by id on one socket, follow to the end. Statuses in upper case.
import { call, check, listen } from './common.mjs';

const { orderId, status } = await call('/api/orders/execute', 200, { inputToken: 'SOL', outputToken: 'USDC', amount: 0.1 });
check(status === 'PENDING', `a new order is PENDING, not ${status}`);
const heard = await listen('/api/orders/ws', (message) => ['CONFIRMED', 'FAILED'].includes(message.status),
  (socket) => socket.send(JSON.stringify({ orderId })));
const [first, ...later] = heard;
check(Array.isArray(first.logs) && first.logs.every((entry) => JSON.parse(entry).status), 'the first message has logs');
for (const { status, data } of [first, ...later]) console.log(status, data ? JSON.stringify(data) : '');
const last = heard.at(-1);
check(last.status === 'FAILED' ? last.data.error : last.data.txHash, 'the end has a hash or a reason');
const unknown = await listen('/api/orders/ws', () => true, (socket) => socket.send('{"orderId":"nope"}'));
check(unknown[0].error === 'Order not found', 'an unknown id is said to be unknown');
