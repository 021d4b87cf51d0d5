// Where several hosts run the cluster: who they are, and what is wrong between them. With one, nothing of it is shown.

import { count, number, silence, span } from "./words.js";

export class Hosts {
  constructor(at) {
    this.at = at;
    this.rows = new Map();
  }

  show(status) {
    const hosts = status.hosts ?? null;
    const silent = hosts ? silence(hosts.nats) : null;
    this.at("silent").hidden = silent === null;
    if (this.at("silent").textContent !== (silent ?? "")) this.at("silent").textContent = silent ?? "";
    this.at("hosts").hidden = hosts === null;
    if (hosts === null) return;
    this.at("hosts-title").textContent = `Hosts: ${number(hosts.hosts.length)}`;
    this.at("hosts-sum").textContent = this.sum(hosts, status);
    this.build(hosts.hosts.map((host) => host.name));
    for (const host of hosts.hosts) this.paint(host, hosts);
  }

  sum(hosts, status) {
    const held = Object.keys(hosts.leases).length;
    const words = [`This is ${hosts.me}, with ${number(held)} of ${count(status.ids.length, "shard", "shards")}`];
    if (hosts.free.length) words.push(`${number(hosts.free.length)} run by no host`);
    if (hosts.draining) words.push("draining: its shards go to the others");
    if (hosts.nats.server) words.push(`NATS at ${hosts.nats.server}`);
    return words.join(" · ");
  }

  build(names) {
    if (names.length === this.rows.size && names.every((name) => this.rows.has(name))) return;
    this.rows = new Map(names.map((name) => {
      const row = document.createElement("li");
      row.dataset.host = name;
      row.append(document.createElement("b"), document.createElement("span"));
      row.firstChild.textContent = name;
      row.lastChild.className = "reason";
      return [name, row];
    }));
    this.at("hosts-list").replaceChildren(...this.rows.values());
  }

  paint(host, hosts) {
    const row = this.rows.get(host.name);
    const late = host.seen_s > hosts.lease_s;
    row.className = [host.name === hosts.me ? "me" : "", host.draining ? "draining" : "", late ? "late" : ""].join(" ").trim();
    const words = [count(host.shards.length, "shard", "shards"), `seen ${span(host.seen_s)} ago`, `up ${span(host.up_s)}`];
    if (host.draining) words.unshift("draining");
    if (host.name === hosts.me) words.unshift("this host");
    const text = `${words.join(" · ")} · gwcluster ${host.version}`;
    if (row.lastChild.textContent !== text) row.lastChild.textContent = text;
  }
}
