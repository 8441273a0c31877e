// SPDX-License-Identifier: GPL-2.0-only
//
// The time line. Everything that comes from a run is put in as text, never as markup.
'use strict';
(() => {
  const byId = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(byId(id).textContent);

  function make(tag, attributes, ...inside) {
    const e = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== false && value != null) e.setAttribute(name, value === true ? '' : value);
    }
    e.append(...inside);
    return e;
  }

  const svgName = 'http://www.w3.org/2000/svg';
  function draw(tag, attributes) {
    const e = document.createElementNS(svgName, tag);
    for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
    return e;
  }

  const hex16 = (v) => v.padStart(16, '0');
  const low8 = (v) => hex16(v).slice(8);
  const number = (n) => Number(n).toLocaleString('en');

  // ---- What a play says -------------------------------------------------------------------

  const plays = new Map();

  class Play {
    constructor(id) {
      Object.assign(this, read(id));
      this.id = id;
      this.reels = this.runs.map((run, n) => new Reel(this, run, id + '-run-' + n));
      this.byName = new Map(this.text.funcs.map((f, i) => [this.words[f.name], i]));
    }
  }

  function playOf(id) {
    if (!plays.has(id)) plays.set(id, new Play(id));
    return plays.get(id);
  }

  // Reel has the stills of one run. A still says only what has changed since the one before it, but for whole ones.
  class Reel {
    constructor(play, run, id) {
      this.play = play;
      this.run = run;
      this.id = id;
      this.pages = new Map();
      this.last = null;
    }

    page(n) {
      if (!this.pages.has(n)) this.pages.set(n, read(this.id + '-page-' + n));
      return this.pages.get(n);
    }

    shot(i) {
      return this.page(Math.floor(i / this.run.page_size))[i % this.run.page_size];
    }

    // at returns the machine at still i.
    at(i) {
      if (this.last && this.last.i === i) return this.last;
      let from = i;
      let state = null;
      if (this.last && this.last.i < i && i - this.last.i <= 64) {
        from = this.last.i + 1;
        state = this.last;
      } else {
        while (!this.shot(from).z) from--;
      }
      for (; from <= i; from++) state = next(state, this.shot(from), from);
      this.last = state;
      return state;
    }
  }

  // next is the machine at a still, from what it was at the one before.
  function next(before, shot, i) {
    const regs = before && !shot.z ? before.regs.slice() : new Array(16).fill('0');
    for (let k = 0; k < (shot.r || []).length; k += 2) regs[shot.r[k]] = shot.r[k + 1];
    let slots = before && !shot.z ? before.slots : [];
    let frames = before && !shot.z ? before.frames : [];
    let top = before ? before.top : '0';
    if (shot.l) {
      slots = slots.slice(0, shot.l.k || 0);
      for (let k = 0; k < (shot.l.c || []).length; k += 2) slots[shot.l.c[k]] = shot.l.c[k + 1];
      slots = slots.concat(shot.l.s || []);
      frames = frames.slice(0, shot.l.f || 0).concat(shot.l.g || []);
      top = shot.l.t;
    }
    return { i, shot, regs, slots, frames, top };
  }

  // Members of a slot and of a frame, as the report writes them.
  const DOWN = 0, SIZE = 1, VALUE = 2, FRAME = 3, LABEL = 4, MEANING = 5, KIND = 6;
  const POINTER = 1, COUNTER = 2;
  const ACT = 0, FUNC = 1, FROM = 2, FROMACT = 3, FIRST = 4, END = 5;

  // ---- Two runs in step -------------------------------------------------------------------

  // inStep pairs the stills of two runs whose events are of the same kind, in order: a list of [left, right], -1 for none.
  function inStep(a, b) {
    const steps = [];
    let i = 0, j = 0;
    const apart = (toA, toB) => {
      for (; i < toA; i++) steps.push([i, -1]);
      for (; j < toB; j++) steps.push([-1, j]);
    };
    for (const [x, y, n] of matches(a, b)) {
      apart(x, y);
      for (let k = 0; k < n; k++) steps.push([i++, j++]);
    }
    apart(a.length, b.length);
    return steps;
  }

  // matches are the stretches that two lists have in common: [from in a, from in b, length].
  function matches(a, b) {
    const out = [];
    for (let x = 0, y = 0; x < a.length && y < b.length;) [x, y] = edits(a, b, x, y, out);
    return out;
  }

  const mostEdits = 500;

  // edits finds the fewest edits that lead from one list to the other, by Myers' algorithm, beginning at a place in each. After
  // mostEdits of them it stops where it has come farthest. It adds to out what is in common up to there, and returns the place.
  function edits(a, b, a0, b0, out) {
    const n = a.length - a0, m = b.length - b0, mid = mostEdits + 1;
    const v = new Int32Array(2 * mid + 1); // the farthest x on each diagonal x - y
    const trail = [];                      // v before each number of edits
    let last = 0, endX = 0, endY = 0;      // where it has come farthest, and after how many edits
    search: for (let d = 0; d <= mostEdits; d++) {
      trail.push(v.slice(mid - d - 1, mid + d + 2));
      for (let k = -d; k <= d; k += 2) {
        const down = k === -d || (k !== d && v[mid + k - 1] < v[mid + k + 1]);
        let x = down ? v[mid + k + 1] : v[mid + k - 1] + 1;
        let y = x - k;
        while (x < n && y < m && a[a0 + x] === b[b0 + y]) { x++; y++; }
        v[mid + k] = x;
        if (x > n || y > m) continue;
        if (x + y > endX + endY) { last = d; endX = x; endY = y; }
        if (x === n && y === m) break search;
      }
    }
    const found = [];
    let x = endX, y = endY;
    for (let e = last; e >= 0; e--) {
      const at = (k) => trail[e][k + e + 1];
      const k = x - y;
      const down = k === -e || (k !== e && at(k - 1) < at(k + 1));
      const x0 = e === 0 ? 0 : at(down ? k + 1 : k - 1), y0 = e === 0 ? 0 : x0 - (down ? k + 1 : k - 1);
      const from = e === 0 ? 0 : down ? x0 : x0 + 1;
      if (x > from) found.push([a0 + from, b0 + from - k, x - from]);
      x = x0;
      y = y0;
    }
    out.push(...found.reverse());
    return [a0 + endX, b0 + endY];
  }

  function keys(reel, page) {
    const w = reel.play.words;
    return reel.page(page).map((s) => w[s.k] + '|' + w[s.f || 0] + '|' + w[s.t || 0]);
  }

  // ---- The page -----------------------------------------------------------------------------

  const index = read('index'); // scenarios, each with the plays of its targets
  const chosen = { subject: 0, run: 0, left: 0, right: -1, page: 0, step: 0 };
  let sides = []; // one or two
  let steps = [];

  class Side {
    constructor(play, run) {
      this.play = play;
      this.reel = play.reels[run];
      this.every = false;
      this.shown = -1;
      this.listings = new Map();
      this.head = make('h3', {});
      this.what = make('p', { class: 'what' });
      this.note = make('p', { class: 'waits', hidden: true });
      this.stack = make('div', { class: 'stack pane', tabindex: '0', role: 'region', 'aria-label': 'Stack on ' + play.target });
      this.code = make('div', { class: 'code pane', tabindex: '0', role: 'region', 'aria-label': 'Code on ' + play.target });
      this.regs = make('div', { class: 'registers' });
      this.tree = make('div', { class: 'tree pane', tabindex: '0', role: 'region', 'aria-label': 'Calls so far on ' + play.target });
      this.list = new EventList(this);
      const box = make('input', { type: 'checkbox' });
      box.addEventListener('change', () => { this.every = box.checked; this.show(this.shown, true); });
      const folds = make('label', { class: 'folds' }, box, ' every frame');
      const panel = (title, extra, inside) => make('section', { class: 'panel' }, make('h4', {}, title, ...extra), inside);
      this.root = make('article', { class: 'side' },
        make('header', {}, this.head, this.what, this.note),
        panel('Stack', [folds], this.stack), panel('Code', [], this.code),
        panel('Registers', [], this.regs), panel('Calls so far', [], this.tree), this.list.root);
    }

    // show draws still i; waits says that this run has no event at this step.
    show(i, again, waits) {
      this.note.hidden = !waits;
      this.note.textContent = waits ? 'No such event here: this run ' + (i + 1 < this.reel.run.stills ? 'waits' : 'has ended') + '.' : '';
      if (i === this.shown && !again) return;
      const before = i > 0 ? this.reel.at(i - 1) : null; // first: it is then where the next one begins
      const now = this.reel.at(i);
      this.shown = i;
      this.headline(now);
      drawStack(this, now, before);
      drawCode(this, now);
      drawRegisters(this, now, before);
      drawTree(this, now);
      this.list.mark(i);
    }

    word(n) { return this.play.words[n || 0]; }

    headline(now) {
      const s = now.shot, kind = this.word(s.k);
      const title = s.n ? 'event ' + number(s.n) + ' of ' + number(this.reel.run.stills - (this.reel.broken() ? 1 : 0)) : 'the violation';
      this.head.replaceChildren(this.play.target + ': ' + title + ' ', make('span', { class: 'kind kind-' + kind }, kind));
      let text = this.word(s.w);
      if (s.tc !== undefined) text += ' · tail_call_cnt ' + s.tc;
      if (s.tk) text += ' · ' + s.tk + ' taken';
      if (s.c) text += ' · cycle ' + number(s.c);
      this.what.textContent = text;
    }
  }

  Reel.prototype.broken = function () { return this.run.violation != null; };

  // ---- Stack ----------------------------------------------------------------------------------

  const keepFrames = 3, minFold = 3;

  // folded returns how many frames from each on are like some that are drawn, as tcsim stack folds them.
  function folded(now, every) {
    const runs = new Map(), n = now.frames.length;
    if (every || n < 2 * keepFrames + minFold) return runs;
    const shape = (f) => [f[FUNC], f[FROM], ...now.slots.slice(f[FIRST], f[END]).map((s) => s[LABEL] + '/' + s[SIZE])].join(' ');
    const shapes = now.frames.map(shape);
    const drawn = new Set(shapes.filter((_, i) => i < keepFrames || i >= n - keepFrames));
    let start = -1;
    for (let i = keepFrames; i <= n - keepFrames; i++) {
      if (i < n - keepFrames && drawn.has(shapes[i])) {
        if (start < 0) start = i;
        continue;
      }
      if (start >= 0 && i - start >= minFold) runs.set(start, i - start);
      start = -1;
      drawn.add(shapes[i]);
    }
    return runs;
  }

  function drawStack(side, now, before) {
    const w = (n) => side.word(n), s = now.shot;
    side.stack.replaceChildren();
    if (!s.l) {
      side.stack.append(make('p', { class: 'none' }, 'There is no stack to draw: ' + w(s.y)));
      return;
    }
    const top = BigInt('0x' + now.top);
    const addr = (down) => (top - BigInt(down)).toString(16);
    const was = new Map(before ? before.slots.map((o) => [o[DOWN] + '/' + o[SIZE], o]) : []);
    const rbp = now.regs[5], rsp = now.regs[4];
    const table = make('table', {});
    const gone = before ? before.slots.filter((o) => o[DOWN] > (now.slots.length ? now.slots[now.slots.length - 1][DOWN] : -1)).length : 0;
    table.append(make('caption', {}, 'Addresses are ' + hex16(now.top).slice(0, 8) + '…; above is ' + w(s.l.o) + ', the outside caller.' +
      (gone ? ' ' + gone + (gone === 1 ? ' slot of the event before is' : ' slots of the event before are') + ' no longer there.' : '')));
    table.append(make('thead', {}, make('tr', {}, make('th', { class: 'arrows', 'aria-hidden': 'true' }), th('slot'), th('address'), th('value'), th('meaning'))));
    const rows = [];
    const runs = folded(now, side.every);
    for (let i = 0; i < now.frames.length; i++) {
      const f = now.frames[i];
      const body = make('tbody', {});
      table.append(body);
      if (runs.has(i)) {
        const n = runs.get(i), last = now.frames[i + n - 1];
        body.append(make('tr', { class: 'fold' }, make('td', { class: 'arrows' }), make('td', { colspan: '4' },
          n + ' frames like those drawn, ' + w(f[FUNC]) + ' #' + f[ACT] + ' to ' + w(last[FUNC]) + ' #' + last[ACT] + ', ' +
          number(now.slots[last[END] - 1][DOWN] - (i ? now.slots[f[FIRST] - 1][DOWN] : -8)) + ' bytes')));
        i += n - 1;
        continue;
      }
      let title = w(f[FUNC]) + ' #' + f[ACT];
      if (f[FROM]) title += ', took over the frame of ' + w(f[FROM]) + ' #' + f[FROMACT];
      body.append(make('tr', { class: 'frame' }, make('td', { class: 'arrows' }), make('th', { colspan: '4', scope: 'rowgroup' }, title)));
      for (let k = f[FIRST]; k < f[END]; k++) {
        const slot = now.slots[k], at = addr(slot[DOWN]);
        const old = was.get(slot[DOWN] + '/' + slot[SIZE]);
        let change = '';
        if (before && !old) change = 'new';
        else if (old && old[VALUE] !== slot[VALUE]) change = 'was ' + old[VALUE];
        const marks = [];
        if (at === rbp) marks.push(make('b', { class: 'reg' }, 'RBP'));
        if (at === rsp) marks.push(make('b', { class: 'reg' }, 'RSP'));
        if (change) marks.push(make('span', { class: 'change' }, change));
        const meaning = make('td', { class: 'meaning' }, ...marks, w(slot[MEANING]));
        const row = make('tr', { class: ['slot', change ? 'changed' : '', slot[KIND] === COUNTER ? 'counter' : '', slot[KIND] === POINTER ? 'pointer' : ''].join(' ').trim() },
          make('td', { class: 'arrows' }), make('td', { class: 'box' }, w(slot[LABEL])), make('td', { class: 'address' }, low8(at)),
          make('td', { class: 'value' }, slot[SIZE] > 8 ? '' : hex16(slot[VALUE])), meaning);
        body.append(row);
        rows.push({ row, slot });
      }
    }
    side.stack.append(table);
    drawArrows(side.stack, table, rows, top);
    const latest = rows.length ? rows[rows.length - 1].row : null;
    if (latest) side.stack.scrollTop = latest.offsetTop; // as far down as it goes
  }

  const th = (text) => make('th', { scope: 'col' }, text);
  const laneWidth = 9, mostLanes = 5;

  // drawArrows leads from each pointer to its counter, those to one counter in one lane. What is not drawn, or one lane too many, is
  // said in words.
  function drawArrows(pane, table, rows, top) {
    const lanes = new Map();
    rows.forEach(({ row, slot }, i) => {
      if (slot[KIND] !== POINTER) return;
      const down = top - BigInt('0x' + slot[VALUE]);
      const to = rows.findIndex((r) => BigInt(r.slot[DOWN]) >= down && BigInt(r.slot[DOWN] - r.slot[SIZE]) < down);
      if (to < 0) {
        row.lastChild.append(' → ' + low8(slot[VALUE]) + ', which is not drawn');
        return;
      }
      row.lastChild.append(' → ' + low8(slot[VALUE]));
      if (!lanes.has(to)) lanes.set(to, { to, from: [], lo: to, hi: to });
      const lane = lanes.get(to);
      lane.from.push(i);
      lane.lo = Math.min(lane.lo, i);
      lane.hi = Math.max(lane.hi, i);
    });
    const placed = [];
    for (const lane of lanes.values()) {
      lane.col = 0;
      while (placed.some((o) => o.col === lane.col && o.lo <= lane.hi && lane.lo <= o.hi)) lane.col++;
      if (lane.col < mostLanes) placed.push(lane);
    }
    if (!placed.length) return;
    const width = 8 + laneWidth * (1 + Math.max(...placed.map((l) => l.col)));
    table.style.setProperty('--arrows', width + 'px');
    const y = (i) => rows[i].row.offsetTop + rows[i].row.offsetHeight / 2;
    const svg = draw('svg', { class: 'lanes', width, height: table.offsetHeight, 'aria-hidden': 'true' });
    for (const lane of placed) {
      const x = width - 10 - laneWidth * lane.col;
      const at = y(lane.to);
      let path = '';
      for (const i of lane.from) path += 'M' + width + ' ' + y(i) + 'H' + x;
      path += 'M' + x + ' ' + Math.min(y(lane.lo), at) + 'V' + y(lane.hi) + 'M' + x + ' ' + at + 'H' + (width - 2);
      svg.append(draw('path', { d: path, class: 'lane' }));
      svg.append(draw('path', { d: 'M' + width + ' ' + at + 'l-6 -3.5v7z', class: 'tip' }));
    }
    pane.append(svg);
  }

  // ---- Code -------------------------------------------------------------------------------------

  const OFF = 0, BYTES = 1, X86 = 2, INSN = 3, BPF = 4, NOTE = 5;

  function drawCode(side, now) {
    const s = now.shot, play = side.play;
    const fn = play.byName.get(side.word(s.f));
    if (fn === undefined) {
      side.code.replaceChildren(make('p', { class: 'none' }, 'rip is outside the programs.'));
      return;
    }
    const version = play.text.states[s.s || 0][fn];
    const key = fn + '/' + version;
    if (!side.listings.has(key)) side.listings.set(key, listing(side, fn, version));
    const l = side.listings.get(key);
    if (side.code.firstChild !== l.table) side.code.replaceChildren(l.table);
    if (side.current) {
      side.current.classList.remove('current');
      side.current.removeAttribute('aria-current');
      side.current.firstChild.textContent = '';
    }
    const row = l.rows.get(s.o || 0);
    side.current = row || null;
    if (!row) return;
    row.classList.add('current');
    row.setAttribute('aria-current', 'true');
    row.firstChild.textContent = '▶';
    side.code.scrollTop = row.offsetTop - side.code.clientHeight / 3;
  }

  function listing(side, fn, version) {
    const w = (n) => side.word(n), f = side.play.text.funcs[fn];
    const heat = new Map((f.heat || []).map((h) => [h[0], h]));
    const most = Math.max(1, ...side.play.text.funcs.flatMap((o) => (o.heat || []).map((h) => h[1])));
    const first = new Map(f.versions[0].map((l) => [l[OFF], l[BYTES]]));
    const head = [make('th', { class: 'here' }, make('span', { class: 'hidden' }, 'current'))];
    if (heat.size) head.push(make('th', { scope: 'col', class: 'cycles', title: 'cycles of the BPF instruction: ' + side.play.heat_of }, 'cyc'));
    head.push(th('at'), make('th', { scope: 'col', class: 'bytes' }, 'bytes'), th('x86'), th('BPF'));
    const body = make('tbody', {}), rows = new Map();
    let insn = null;
    for (const l of f.versions[version]) {
      const cells = [make('td', { class: 'here' })];
      const begins = l[INSN] !== insn;
      insn = l[INSN];
      if (heat.size) {
        const h = begins ? heat.get(insn) : null;
        cells.push(make('td', h ? { class: 'cycles heat-' + Math.ceil(h[1] * 9 / most), title: h[2] + ' executed: ' + w(h[3]) } : { class: 'cycles' }, h ? String(h[1]) : ''));
      }
      const bpf = make('td', { class: 'bpf' });
      if (l[BPF]) bpf.append(insn + ': ' + w(l[BPF]));
      if (l[NOTE]) bpf.append(make('span', { class: 'note' }, w(l[NOTE])));
      const patched = version > 0 && first.get(l[OFF]) !== l[BYTES];
      if (patched) bpf.append(make('span', { class: 'change' }, 'patched'));
      cells.push(make('td', { class: 'offset' }, l[OFF].toString(16)), make('td', { class: 'bytes' }, l[BYTES]), make('td', { class: 'x86' }, w(l[X86]) || '-'), bpf);
      const row = make('tr', { class: (begins ? 'begins' : '') + (patched ? ' changed' : '') }, ...cells);
      if (l[BYTES]) rows.set(l[OFF], row);
      body.append(row);
    }
    const table = make('table', {}, make('caption', {}, w(f.name) + ' at ' + f.addr + ', ' + f.size + ' bytes' +
      (heat.size ? '; cycles of ' + side.play.heat_of : '')), make('thead', {}, make('tr', {}, ...head)), body);
    return { table, rows };
  }

  // ---- Registers --------------------------------------------------------------------------------

  const order = [0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15]; // rax rbx rcx rdx rsi rdi rbp rsp r8...

  function drawRegisters(side, now, before) {
    const list = make('dl', {});
    const add = (name, value, old) => {
      const changed = old !== undefined && old !== value;
      list.append(make('div', { class: changed ? 'changed' : '' }, make('dt', {}, name),
        make('dd', {}, value, changed ? make('span', { class: 'change', title: 'was ' + old }, '*') : '')));
    };
    const s = now.shot;
    add('rip', hex16(s.ip), before ? hex16(before.shot.ip) : undefined);
    for (const r of order) add(side.play.registers[r], hex16(now.regs[r]), before ? hex16(before.regs[r]) : undefined);
    const count = (o) => (o.tc === undefined ? '-' : o.tc);
    add('tail_call_cnt', count(s), before ? count(before.shot) : undefined);
    add('lives at', s.ta && s.ta !== '0' ? hex16(s.ta) : '-');
    add('pointer at', s.tp && s.tp !== '0' ? hex16(s.tp) : '-');
    side.regs.replaceChildren(list, make('p', { class: 'legend' }, '* differs from the event before'));
  }

  // ---- Calls ------------------------------------------------------------------------------------

  const mostCalls = 400, deepest = 16;

  // drawTree lists what was called up to a still, with what is live marked.
  function drawTree(side, now) {
    const w = (n) => side.word(n);
    const live = new Set(now.frames.map((f) => f[ACT]));
    const list = make('ol', {});
    const from = Math.max(0, now.i - mostCalls);
    if (from > 0) side.tree.replaceChildren(make('p', { class: 'legend' }, 'The last ' + mostCalls + ' of ' + number(now.i + 1) + ' events:'), list);
    else side.tree.replaceChildren(list);
    for (let i = from; i <= now.i; i++) {
      const s = side.reel.shot(i), kind = w(s.k);
      let text = '', sign = '', depth = s.d || 0;
      switch (kind) {
        case 'entry': sign = '→'; text = w(s.f) + ' #' + (s.b || s.a); break;
        case 'call': sign = '→'; text = w(s.t) + (s.b ? ' #' + s.b : ''); depth++; break;
        case 'tailcall': sign = '⇒'; text = w(s.t) + (s.b ? ' #' + s.b : '') + ', tail call ' + s.tk; break;
        case 'refused': sign = '✗'; text = 'tail call refused: ' + w(s.x); depth++; break;
        case 'helper': sign = '·'; text = w(s.t); depth++; break;
        case 'hook': sign = '→'; text = w(s.f) + ' for ' + w(s.t); break;
        case 'poke': sign = '✎'; text = w(s.w); break;
        case 'violation': sign = '⚠'; text = w(s.w); break;
        default: continue; // returns end what is live
      }
      const item = make('li', {}, make('span', { class: 'sign', 'aria-hidden': 'true' }, sign), make('span', { class: 'hidden' }, kind + ' '));
      item.append(s.n ? make('a', { href: link(side, s) }, text) : text);
      if (!s.n) item.classList.add('sentence');
      if (live.has(s.b) || (kind === 'entry' && live.has(s.a))) {
        item.classList.add('live');
        item.append(make('span', { class: 'state' }, 'live'));
      }
      if (i === now.i) {
        item.classList.add('current');
        item.setAttribute('aria-current', 'true');
      }
      item.style.setProperty('--depth', String(Math.min(depth, deepest)));
      if (depth > deepest) item.append(make('span', { class: 'state' }, 'depth ' + depth));
      list.append(item);
    }
    side.tree.scrollTop = side.tree.scrollHeight;
  }

  // ---- The list of events -----------------------------------------------------------------------

  const listSize = 200;

  class EventList {
    constructor(side) {
      this.side = side;
      this.first = -1;
      this.body = make('tbody', {});
      this.place = make('span', {});
      const go = (text, by) => {
        const b = make('button', { type: 'button' }, text);
        b.addEventListener('click', () => this.fill(Math.max(0, Math.min(this.first + by * listSize, side.reel.run.stills - 1))));
        return b;
      };
      const table = make('table', {}, make('caption', { class: 'hidden' }, 'Events on ' + side.play.target),
        make('thead', {}, make('tr', {}, ...['#', 'event', 'cycle', 'depth', 'rsp', 'rax', 'tcc', 'what'].map(th))), this.body);
      this.root = make('details', { class: 'events' }, make('summary', {}, 'All events'),
        make('p', { class: 'pager' }, go('◀ earlier', -1), this.place, go('later ▶', 1)), make('div', { class: 'pane', tabindex: '0' }, table));
      this.root.addEventListener('toggle', () => { if (this.root.open) this.fill(Math.max(0, side.shown)); });
    }

    fill(i) {
      const { side } = this, total = side.reel.run.stills;
      this.first = i - i % listSize;
      const end = Math.min(this.first + listSize, total);
      this.place.textContent = ' ' + number(this.first + 1) + ' to ' + number(end) + ' of ' + number(total) + ' ';
      this.body.replaceChildren();
      for (let k = this.first; k < end; k++) {
        const now = side.reel.at(k), s = now.shot;
        this.body.append(make('tr', {}, make('td', {}, s.n ? make('a', { href: link(side, s) }, String(s.n)) : '⚠'),
          make('td', {}, side.word(s.k)), make('td', {}, s.c ? String(s.c) : ''), make('td', {}, String(s.d || 0)),
          make('td', {}, hex16(now.regs[4])), make('td', {}, hex16(now.regs[0])),
          make('td', {}, s.tc === undefined ? '' : s.tc), make('td', { class: 'what' }, side.word(s.w))));
      }
      this.mark(side.shown);
    }

    mark(i) {
      if (!this.root.open) return;
      if (i - i % listSize !== this.first) { this.fill(i); return; }
      for (const row of this.body.querySelectorAll('.current')) { row.classList.remove('current'); row.removeAttribute('aria-current'); }
      const row = this.body.children[i - this.first];
      if (row) { row.classList.add('current'); row.setAttribute('aria-current', 'true'); }
    }
  }

  // ---- Moving -----------------------------------------------------------------------------------

  const where = () => index[chosen.subject].name + '/' + (chosen.run + 1);

  // link is the address of an event of a side.
  function link(side, s) {
    const name = side === sides[1] ? 'other' : 'event';
    return '#' + prefix() + name + '=' + s.n;
  }

  // prefix says which run and targets an address is of, if they are not those that the page opens with.
  function prefix() {
    const targets = sides.map((s) => encodeURIComponent(s.play.target)).join(',');
    return 'run=' + encodeURIComponent(where()) + '&targets=' + targets + '&';
  }

  function choose(select, names, at, before) {
    select.replaceChildren(...(before ? [make('option', { value: '-1' }, before)] : []), ...names.map((n, i) => make('option', { value: String(i) }, n)));
    select.value = String(at);
  }

  // open shows a run of a scenario on one or two targets, at its violation if there is one.
  function open() {
    const subject = index[chosen.subject];
    const has = subject.plays.filter((p) => p.runs > 0);
    if (!has.length) return;
    const at = (i) => playOf(has[Math.max(0, Math.min(i, has.length - 1))].id);
    chosen.left = Math.max(0, Math.min(chosen.left, has.length - 1));
    if (chosen.right >= has.length || chosen.right === chosen.left) chosen.right = -1;
    let plays = [at(chosen.left)];
    if (chosen.right >= 0) plays.push(at(chosen.right));
    const runs = Math.max(...plays.map((p) => p.runs.length));
    chosen.run = Math.min(chosen.run, runs - 1);
    plays = plays.filter((p) => p.runs.length > chosen.run);
    sides = plays.map((p) => new Side(p, chosen.run));
    const pages = Math.max(...sides.map((s) => s.reel.run.pages));
    chosen.page = Math.min(chosen.page, pages - 1);
    const cut = (s) => (chosen.page < s.reel.run.pages ? keys(s.reel, chosen.page) : []);
    steps = sides.length > 1 ? inStep(cut(sides[0]), cut(sides[1])) : cut(sides[0]).map((_, i) => [i]);
    const base = sides.map((s) => chosen.page * s.reel.run.page_size);
    steps = steps.map((pair) => pair.map((i, k) => (i < 0 ? -1 : i + base[k])));
    const stage = byId('stage');
    stage.replaceChildren(...sides.map((s) => s.root));
    stage.className = 'stage sides-' + sides.length;
    choose(byId('subject'), index.map((s) => s.name), chosen.subject);
    choose(byId('run'), Array.from({ length: runs }, (_, i) => 'run ' + (i + 1)), chosen.run);
    choose(byId('left'), has.map((p) => p.target), chosen.left);
    choose(byId('right'), has.map((p) => p.target), chosen.right, 'none');
    choose(byId('page'), Array.from({ length: pages }, (_, i) => 'events from ' + number(i * sides[0].reel.run.page_size + 1)), chosen.page);
    byId('page-choice').hidden = pages < 2;
    byId('subject-choice').hidden = index.length < 2;
    byId('run-choice').hidden = runs < 2;
    byId('right-choice').hidden = has.length < 2;
    byId('slider').max = String(steps.length - 1);
    byId('violation').hidden = !sides.some((s) => s.reel.broken());
  }

  // stillAt returns the still that a side shows at a step: its own, or the last one before.
  function stillAt(k, step) {
    for (let i = step; i >= 0; i--) if (steps[i][k] >= 0) return steps[i][k];
    return chosen.page < sides[k].reel.run.pages ? chosen.page * sides[k].reel.run.page_size : sides[k].reel.run.stills - 1;
  }

  // go shows a step, on the page before or after if it is beyond the ends of this one.
  function go(step) {
    const pages = Math.max(...sides.map((s) => s.reel.run.pages));
    const before = step < 0 && chosen.page > 0, after = step >= steps.length && chosen.page + 1 < pages;
    if (before || after) {
      chosen.page += before ? -1 : 1;
      open();
      step = before ? steps.length - 1 : 0;
    }
    show(step, true);
  }

  function show(step, say) {
    chosen.step = Math.max(0, Math.min(step, steps.length - 1));
    const pair = steps[chosen.step];
    sides.forEach((s, k) => s.show(stillAt(k, chosen.step), false, pair[k] < 0));
    const slider = byId('slider');
    slider.value = String(chosen.step);
    const text = sides.map((s) => s.head.textContent + ', ' + s.what.textContent).join('; ');
    slider.setAttribute('aria-valuetext', text);
    byId('now').textContent = 'step ' + number(chosen.step + 1) + ' of ' + number(steps.length);
    if (!say) return;
    const k = pair[0] >= 0 ? 0 : 1;
    const s = sides[k].reel.shot(pair[k]);
    const at = s.n ? link(sides[k], s) : '#' + prefix() + 'violation=' + (k ? 'other' : 'event');
    history.replaceState(null, '', at);
  }

  // stepOf finds the step of a still.
  const stepOf = (k, still) => Math.max(0, steps.findIndex((p) => p[k] === still));

  function violation(say) {
    const k = sides.findIndex((s) => s.reel.broken());
    if (k < 0) return;
    const still = sides[k].reel.run.opens;
    const page = Math.floor(still / sides[k].reel.run.page_size);
    if (page !== chosen.page) { chosen.page = page; open(); }
    show(stepOf(k, still), say);
  }

  // begin chooses what the page opens with: a run that breaks an invariant, first of all one that the scenario does not expect.
  function begin() {
    const runs = index.flatMap((s, subject) => s.plays.filter((p) => p.runs > 0).map((p, at) => ({ subject, at, run: p.broken, bad: p.bad })));
    const found = runs.find((r) => r.run && r.bad) || runs.find((r) => r.run) || { subject: Math.max(0, index.findIndex((s) => s.plays.some((p) => p.runs > 0))), at: 0, run: 1 };
    chosen.subject = found.subject;
    chosen.run = found.run - 1;
    chosen.left = 0;
    chosen.right = Math.max(1, found.at);
  }

  // follow goes where the page's address says.
  function follow(first) {
    const params = new URLSearchParams(location.hash.slice(1));
    const moment = ['event', 'other', 'violation'].some((n) => params.has(n)) || params.has('run');
    if (!moment && !first) return;
    if (params.has('run')) {
      const name = params.get('run'), cut = name.lastIndexOf('/');
      const subject = index.findIndex((s) => s.name === name.slice(0, cut));
      if (subject >= 0) { chosen.subject = subject; chosen.run = Math.max(0, Number(name.slice(cut + 1)) - 1 || 0); }
    }
    if (params.has('targets')) {
      const has = index[chosen.subject].plays.filter((p) => p.runs > 0).map((p) => p.target);
      const [left, right] = params.get('targets').split(',');
      chosen.left = Math.max(0, has.indexOf(left));
      chosen.right = right === undefined ? -1 : has.indexOf(right);
    } else if (first && !params.has('run')) {
      begin();
    }
    const k = params.has('other') ? 1 : 0;
    const n = Number(params.get('event') || params.get('other')) || 0;
    chosen.page = 0;
    open();
    if (!sides.length) return;
    if (!n || k >= sides.length) {
      show(0, false);
      violation(false);
      if (first && location.hash && byId(location.hash.slice(1))) byId(location.hash.slice(1)).scrollIntoView();
      return;
    }
    const reel = sides[k].reel;
    let still = Math.min(n - 1, reel.run.stills - 1);
    while (still + 1 < reel.run.stills && (reel.shot(still).n || 0) < n) still++; // the violation has no number
    chosen.page = Math.floor(still / reel.run.page_size);
    if (chosen.page) open();
    show(stepOf(k, still), false);
    if (!first) byId('time-line').scrollIntoView({ block: 'start' });
  }

  function listen() {
    const on = (id, event, act) => byId(id).addEventListener(event, act);
    on('slider', 'input', () => show(Number(byId('slider').value), true));
    on('first', 'click', () => show(0, true));
    on('previous', 'click', () => go(chosen.step - 1));
    on('next', 'click', () => go(chosen.step + 1));
    on('last', 'click', () => show(steps.length - 1, true));
    on('violation', 'click', () => violation(true));
    for (const name of ['subject', 'run', 'left', 'right', 'page']) {
      on(name, 'change', () => {
        chosen[name] = Number(byId(name).value);
        if (name !== 'page') chosen.page = 0;
        open();
        show(0, true);
        if (name !== 'page') violation(true);
      });
    }
    document.addEventListener('keydown', (e) => {
      if (e.altKey || e.ctrlKey || e.metaKey || e.target.closest('input, select, textarea')) return;
      const inside = e.target.closest('.pane');
      const far = { PageUp: -10, PageDown: 10 };
      if (e.key === 'ArrowLeft') go(chosen.step - 1);
      else if (e.key === 'ArrowRight') go(chosen.step + 1);
      else if (e.key === 'v' && !byId('violation').hidden) violation(true);
      else if (!inside && byId('stage').contains(document.activeElement) && far[e.key]) go(chosen.step + far[e.key]);
      else return;
      e.preventDefault();
    });
    window.addEventListener('hashchange', () => follow(false));
    const redraw = () => sides.forEach((s) => s.show(s.shown, true, !s.note.hidden));
    window.addEventListener('resize', redraw);
    window.addEventListener('beforeprint', redraw);
  }

  if (index.some((s) => s.plays.some((p) => p.runs > 0))) {
    byId('controls').hidden = false;
    listen();
    follow(true);
  }
  document.documentElement.dataset.ready = 'yes';
})();
