// What the five scripts share. Node 22 or newer; Node 20 with --experimental-websocket.
export const API_BASE = (process.env.API_BASE ?? 'http://localhost:3000').replace(/\/$/, '');
export const WS_BASE = API_BASE.replace(/^http/, 'ws');
const PATIENCE_MS = 60_000;

/** POST or GET; fails where the status is not the one that the dialect's clients look for. */
export async function call(path, expected, body) {
  const options = body === undefined ? {} : {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
  };
  const response = await fetch(API_BASE + path, options);
  const text = await response.text();
  if (response.status !== expected) throw new Error(`${path}: HTTP ${response.status}, not ${expected}: ${text}`);
  return JSON.parse(text);
}

/** Every message of a socket until `isLast` says so, or the server closes. `opened` may speak first. */
export function listen(path, isLast, opened = () => {}) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(WS_BASE + path);
    const heard = [];
    const patience = setTimeout(() => { socket.close(); reject(new Error(`${path}: no end in sight`)); }, PATIENCE_MS);
    const done = () => { clearTimeout(patience); resolve(heard); };
    socket.onopen = () => opened(socket);
    socket.onmessage = ({ data }) => {
      heard.push(JSON.parse(data));
      if (isLast(heard.at(-1), heard)) socket.close();
    };
    socket.onclose = done;
    socket.onerror = () => { clearTimeout(patience); reject(new Error(`${path}: the socket failed`)); };
  });
}

export function check(holds, what) {
  if (!holds) throw new Error(what);
}
