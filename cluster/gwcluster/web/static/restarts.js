// Restarts: always asked for twice, by a button and in a dialog.

import { number } from "./words.js";

const SAID_MS = 8000;

const at = (id) => document.getElementById(id);

export class Restarts {
  constructor() {
    this.asked = null;
    this.token = null; // kept in this page alone
    at("ask-no").addEventListener("click", () => at("ask").close());
    at("ask-yes").addEventListener("click", () => this.post());
    at("token").addEventListener("keydown", (event) => { if (event.key === "Enter") this.post(); });
  }

  askOne(shard) {
    this.ask({ shard }, `Restart shard ${shard}?`,
      "Its worker is replaced. The session is resumed, which costs no identify; events come a little later.");
  }

  askAll(total) {
    this.ask({ all: true, rolling: true }, `Restart all ${number(total)} shards?`,
      "One after the other, each when the one before is live again. Sessions are resumed, which costs no identify.");
  }

  ask(body, title, text) {
    this.asked = body;
    at("ask-title").textContent = title;
    at("ask-text").textContent = text;
    at("ask-error").textContent = "";
    at("ask-yes").disabled = false;
    at("ask").showModal();
    at("ask-no").focus();
  }

  async post() {
    const headers = { "Content-Type": "application/json", "X-Gwcluster": "operate" };
    if (at("token").value) this.token = at("token").value;
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    at("ask-yes").disabled = true;
    try {
      const answer = await fetch("/api/restart", { method: "POST", headers, body: JSON.stringify(this.asked) });
      const told = await answer.json();
      if (told.ok) {
        at("ask").close();
        this.say("The restart has begun.");
      } else if (answer.status === 401) {
        at("ask-error").textContent = this.token ? "That is not the token." : "";
        this.token = null;
        at("ask-token").hidden = false;
        at("token").focus();
      } else {
        at("ask-error").textContent = told.error.message;
      }
    } catch {
      at("ask-error").textContent = "The cluster can't be reached.";
    }
    at("ask-yes").disabled = false;
  }

  say(text) {
    at("said").textContent = text;
    at("said").hidden = false;
    setTimeout(() => { at("said").hidden = true; }, SAID_MS);
  }
}
