// The stream of status documents, and whether it is alive.

const SILENCE_MS = 5000;
const RETRY_MS = 3000;

// Calls onStatus(document) for each one, onOpen() whenever the stream begins anew, onStale(since in Unix seconds).
export function follow({ onOpen, onStatus, onStale }) {
  let heardAt = Date.now();
  let source = null;
  let isStale = false;
  const stale = () => {
    isStale = true;
    onStale(heardAt / 1000);
  };
  const dial = () => {
    source = new EventSource("/api/stream");
    source.onopen = onOpen;
    source.addEventListener("status", (event) => {
      heardAt = Date.now();
      isStale = false;
      onStatus(JSON.parse(event.data));
    });
    source.onerror = () => {
      stale();
      if (source.readyState === EventSource.CLOSED) setTimeout(dial, RETRY_MS); // refused; no browser retries that
    };
  };
  dial();
  setInterval(() => {
    if (isStale || Date.now() - heardAt > SILENCE_MS) stale();
  }, 1000);
}
