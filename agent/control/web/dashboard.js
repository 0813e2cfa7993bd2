/*
 * The dashboard: asks /v1/status each second and shows what has changed since.
 *
 * Whatever the agent says reaches the page as text (textContent), never as HTML: names of rings
 * are their producers'. Rows stay in place from poll to poll and only cells that have changed are
 * touched, so that a screen reader or a selection is not torn away.
 */
'use strict';

const POLL_MS = 1000;
const HISTORY = 60;         /* points of a sparkline */
const ROWS_MAX = 200;       /* rows of a table that are shown */
const SVG = 'http://www.w3.org/2000/svg';

const $ = (id) => document.getElementById(id);

let token = sessionStorage.getItem('hydrant-token') ?? '';
let before = null;          /* the status before, to see what moved */
let paused = false;
let history = new Map();    /* name of a series -> its last points */

/* ---- words and numbers ----------------------------------------------------------------------- */

function count(n) {
    return n.toLocaleString('en');
}

function rate(n) {
    if (n > 0 && n < 10)
        return n.toFixed(1);
    for (const [unit, of] of [['G', 1e9], ['M', 1e6], ['k', 1e3]])
        if (n >= 10 * of)
            return (n / of).toFixed(n >= 100 * of ? 0 : 1) + ' ' + unit;
    return count(Math.round(n));
}

function bytes(n) {
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
    let i = 0;

    for (; n >= 1024 && i < units.length - 1; i++)
        n /= 1024;
    return (i > 0 && n < 10 ? n.toFixed(1) : Math.round(n)) + ' ' + units[i];
}

function time(ns) {
    const s = ns / 1e9;

    if (s < 60)
        return s < 1 ? Math.round(s * 1000) + ' ms' : s.toFixed(1) + ' s';
    if (s < 3600)
        return Math.floor(s / 60) + ' min ' + Math.floor(s % 60) + ' s';
    if (s < 86400)
        return Math.floor(s / 3600) + ' h ' + Math.floor(s / 60 % 60) + ' min';
    return Math.floor(s / 86400) + ' d ' + Math.floor(s / 3600 % 24) + ' h';
}

function sum(counts) {
    return Object.values(counts).reduce((a, b) => a + b, 0);
}

/* ---- elements -------------------------------------------------------------------------------- */

function element(name, of = {}, ...children) {
    const made = document.createElement(name);

    for (const [key, value] of Object.entries(of))
        made.setAttribute(key, value);
    made.append(...children);
    return made;
}

function say(where, text) {
    if (where.textContent !== text)
        where.textContent = text;
}

function badge(where, text, kind) {
    say(where, text);
    where.className = 'badge ' + kind;
}

function sparkline() {
    const svg = document.createElementNS(SVG, 'svg');

    svg.setAttribute('viewBox', `0 0 ${HISTORY - 1} 20`);
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('role', 'img');
    for (const part of ['under', 'line']) {
        const path = document.createElementNS(SVG, 'path');

        path.setAttribute('class', part);
        svg.append(path);
    }
    return svg;
}

function sparkline_draw(svg, points, what) {
    const most = Math.max(1e-9, ...points);
    const from = HISTORY - points.length;
    const line = points.map((p, i) => `${from + i} ${(19 - 18 * p / most).toFixed(2)}`).join('L');

    svg.firstChild.setAttribute('d', `M${from} 20L${line}L${HISTORY - 1} 20Z`);
    svg.lastChild.setAttribute('d', 'M' + line);
    svg.setAttribute('aria-label', `${what}, last minute: now ${rate(points.at(-1) ?? 0)}, `
        + `at most ${rate(Math.max(0, ...points))} a second`);
}

function remember(series, value) {
    const points = history.get(series) ?? [];

    points.push(value);
    if (points.length > HISTORY)
        points.shift();
    history.set(series, points);
    return points;
}

/* ---- tables ---------------------------------------------------------------------------------- */

/*
 * A column: label; of(row), the value it is sorted by; show(cell, row); number, wide. The first
 * column is the row's name. Phones show each row as a card, which takes the table's meaning away
 * from it for some readers: the roles give it back.
 */
class Table {
    constructor(id, columns) {
        this.id = id;
        this.columns = columns;
        this.rows = new Map();
        this.by = 0;
        this.down = false;
        this.table = $(id);
        this.table.setAttribute('role', 'table');
        this.head = this.table.querySelector('thead');
        this.body = this.table.querySelector('tbody');
        this.head.setAttribute('role', 'rowgroup');
        this.body.setAttribute('role', 'rowgroup');
        this.head.append(element('tr', { role: 'row' },
            ...columns.map((column, i) => this.heading(column, i))));
        this.mark();
    }

    heading(column, i) {
        const button = element('button', { type: 'button' }, column.label);

        button.addEventListener('click', () => {
            this.down = this.by === i ? !this.down : i > 0;
            this.by = i;
            this.mark();
            this.show(this.last, this.total);
        });
        return element('th', { role: 'columnheader', scope: 'col',
            ...(column.number ? { class: 'number' } : {}) }, button);
    }

    mark() {
        [...this.head.firstChild.children].forEach((th, i) => {
            if (i === this.by)
                th.setAttribute('aria-sort', this.down ? 'descending' : 'ascending');
            else
                th.removeAttribute('aria-sort');
        });
    }

    row(name) {
        const cells = this.columns.map((column, i) => element(i === 0 ? 'th' : 'td', {
            role: i === 0 ? 'rowheader' : 'cell', 'data-label': column.label,
            ...(i === 0 ? { scope: 'row' } : {}),
            ...(column.number ? { class: 'number' } : column.wide ? { class: 'wide' } : {}),
        }));
        const made = { cells, tr: element('tr', { role: 'row' }, ...cells) };

        this.rows.set(name, made);
        return made;
    }

    order(a, b) {
        const of = this.columns[this.by].of;
        const x = of(a), y = of(b);
        const first = x < y ? -1 : x > y ? 1 : a.name < b.name ? -1 : 1;

        return this.down ? -first : first;
    }

    /* rows: those that match; total: all there are. */
    show(rows, total) {
        const shown = [...rows].sort((a, b) => this.order(a, b)).slice(0, ROWS_MAX);
        const kept = new Set(shown.map((row) => row.name));

        this.last = rows;
        this.total = total;
        for (const [name, { tr }] of this.rows)
            if (!kept.has(name)) {
                tr.remove();
                this.rows.delete(name);
            }
        shown.forEach((row, i) => {
            const { tr, cells } = this.rows.get(row.name) ?? this.row(row.name);

            this.columns.forEach((column, c) => column.show(cells[c], row));
            if (this.body.children[i] !== tr)
                this.body.insertBefore(tr, this.body.children[i] ?? null);
        });
        say($(this.id + '-count'), total > shown.length ? `${shown.length} of ${count(total)}`
                                                        : count(total));
        this.table.hidden = shown.length === 0;
        $(this.id + '-none').hidden = shown.length > 0;
        say($(this.id + '-none'), total > 0 ? 'None has that in its name.' : 'None so far.');
    }
}

function text(label, of, more = {}) {
    return { label, of, show: (cell, row) => say(cell, String(of(row))), ...more };
}

function numbers(label, of, as = count) {
    return { label, of, number: true, show: (cell, row) => say(cell, as(of(row))) };
}

function badges(label, of, more = {}) {
    return { label, of: (row) => of(row)[0], ...more, show: (cell, row) => {
        const [words, kind] = of(row);

        if (cell.firstChild === null)
            cell.append(element('span'));
        badge(cell.firstChild, words, kind);
    } };
}

function age(ns) {
    return ns === 0 ? '\u2013' : time(ns);
}

function balanced(s) {
    return s.accepted === s.delivered + s.dropped + s.lost + s.pending;
}

const tables = [
    new Table('streams', [
        text('Stream', (s) => s.name),
        numbers('In / s', (s) => s.accepted_rate, rate),
        { label: 'Last minute', of: (s) => s.accepted_rate, show: (cell, s) => {
            if (cell.firstChild === null)
                cell.append(sparkline());
            sparkline_draw(cell.firstChild, s.points, 'Events accepted');
        } },
        numbers('Out / s', (s) => s.delivered_rate, rate),
        numbers('Accepted', (s) => s.accepted),
        numbers('Delivered', (s) => s.delivered),
        numbers('Pending', (s) => s.pending),
        numbers('Dropped', (s) => s.dropped),
        numbers('Lost', (s) => s.lost),
        numbers('Oldest', (s) => s.oldest_pending_ns, age),
        badges('Books', (s) => balanced(s) ? ['balanced', 'good'] : ['off', 'bad']),
    ]),
    new Table('sinks', [
        text('Sink', (k) => k.name),
        text('Type', (k) => k.type),
        badges('Health', (k) => k.waits_because !== null ? ['waits', 'bad']
            : [k.draining ? 'draining' : 'well', 'good']),
        numbers('Out / s', (k) => k.rate, rate),
        numbers('Batches waiting', (k) => k.batches_waiting),
        numbers('Lag', (k) => k.lag_ns, age),
        numbers('Retries', (k) => k.retries),
        numbers('Repeats', (k) => k.duplicates),
        text('Target', (k) => k.target, { wide: true }),
    ]),
    new Table('rings', [
        text('Ring', (r) => r.name),
        badges('State', (r) => {
            const why = r.quarantine ?? r.waits_because;

            return [r.state + (why === null ? '' : ': ' + why),
                r.state === 'quarantined' ? 'bad' : why === null ? 'good' : 'warn'];
        }),
        numbers('Process', (r) => r.pid, String),
        { label: 'Full', of: (r) => r.fill, show: (cell, r) => {
            if (cell.firstChild === null)
                cell.append(element('progress', { max: '1' }));
            meter(cell.firstChild, r.fill, 'Full');
        } },
        numbers('Size', (r) => r.ring_bytes, bytes),
        numbers('Bytes / s', (r) => r.rate, bytes),
        numbers('Taken', (r) => r.accepted, bytes),
        numbers('Dropped', (r) => r.dropped),
    ]),
];

/* ---- the agent in short ---------------------------------------------------------------------- */

function meter(progress, part, what) {
    progress.value = part;
    progress.className = part > 0.9 ? 'bad' : part > 0.6 ? 'warn' : '';
    progress.setAttribute('aria-label', `${what}: ${Math.round(part * 100)} %`);
}

const tiles = new Map();

function tile(name) {
    if (!tiles.has(name)) {
        const big = element('dd', { class: 'big' });
        const small = element('dd', { class: 'soft' });
        const box = element('div', { class: 'tile' }, element('dt', {}, name), big, small);

        $('tiles').append(box);
        tiles.set(name, { box, big, small });
    }
    return tiles.get(name);
}

function tile_line(name, points, below, what) {
    const { box, big, small } = tile(name);

    box.graph ??= box.appendChild(element('dd', {}, sparkline())).firstChild;
    say(big, rate(points.at(-1)) + ' / s');
    say(small, below);
    sparkline_draw(box.graph, points, what);
}

function tile_meter(name, used, most) {
    const { box, big, small } = tile(name);

    box.meter ??= box.appendChild(element('dd', {}, element('progress', { max: '1' }))).firstChild;
    say(big, bytes(used));
    say(small, 'of ' + bytes(most));
    meter(box.meter, most > 0 ? used / most : 0, name);
}

function show_tiles(status, streams) {
    const all = (key) => streams.reduce((n, s) => n + s[key], 0);

    tile_line('Accepted', remember('in', all('accepted_rate')), count(all('accepted')) + ' events',
        'Events accepted');
    tile_line('Delivered', remember('out', all('delivered_rate')),
        count(all('delivered')) + ' events', 'Events delivered');
    say(tile('Pending').big, count(all('pending')));
    say(tile('Pending').small, 'oldest ' + age(Math.max(0, ...streams.map((s) => s.oldest_pending_ns))));
    tile_meter('Log', status.wal.bytes + status.wal.spool_bytes, status.wal.bytes_max);
    tile_meter('Memory', status.memory.bytes, status.memory.bytes_max);
}

/* ---- what needs attention -------------------------------------------------------------------- */

function notes_of(status) {
    const notes = status.pushes_back.map((b) => ['bad', `Pushes back: ${b.reason}: ${b.words}`]);

    if (!status.ready)
        notes.push(['warn', `Recovering: ${bytes(status.recovery_left_bytes)} of the log are left`]);
    for (const [reason, n] of Object.entries(status.lost_bytes))
        if (n > 0)
            notes.push(['bad', `The log had ${bytes(n)} that cannot be read: ${reason}`]);
    for (const k of status.sinks)
        if (k.waits_because !== null)
            notes.push(['bad', `Sink ${k.name} waits: ${k.waits_because}`]);
    for (const s of status.streams) {
        for (const [what, counts, kind] of [['lost', s.lost_by_reason, 'bad'],
            ['dropped', s.dropped_by_reason, 'warn'],
            ['in the error output', s.refused_by_reason, 'warn']])
            for (const [reason, n] of Object.entries(counts))
                if (n > 0)
                    notes.push([kind, `Stream ${s.name}: ${count(n)} events ${what}: ${reason}`]);
    }
    if (sum(status.intake_drops) > 0)
        notes.push(['warn', `Producers have dropped ${count(sum(status.intake_drops))} events `
            + 'before they were accepted']);
    return notes;
}

/* The list is read aloud when it changes, so it changes only when it must. */
function show_notes(notes) {
    const list = $('notes');
    const shown = notes.slice(0, 20);

    if (notes.length > shown.length)
        shown.push(['warn', `and ${notes.length - shown.length} more`]);
    shown.forEach(([kind, words], i) => {
        const item = list.children[i] ?? list.appendChild(element('li'));

        item.className = kind;
        say(item, words);
    });
    while (list.children.length > shown.length)
        list.lastChild.remove();
    list.hidden = shown.length === 0;
}

/* ---- a status -------------------------------------------------------------------------------- */

/* How much a counter has moved a second since the status before. */
function moved(now, then, key, seconds) {
    return then === undefined || seconds <= 0 ? 0
        : Math.max(0, now[key] - (then[key] ?? 0)) / seconds;
}

function by_name(list) {
    return new Map((list ?? []).map((item) => [item.name, item]));
}

function rows_of(status) {
    const seconds = before === null ? 0 : (status.uptime_ns - before.uptime_ns) / 1e9;
    const then = { streams: by_name(before?.streams), rings: by_name(before?.rings),
        sinks: by_name(before?.sinks) };
    const sink = by_name(status.sinks);

    for (const s of status.streams) {
        const old = then.streams.get(s.name);

        s.accepted_rate = moved(s, old, 'accepted', seconds);
        s.delivered_rate = moved(s, old, 'delivered', seconds);
        s.points = remember('stream ' + s.name, s.accepted_rate);
        for (const pair of s.sinks)
            if (sink.has(pair.sink))
                sink.get(pair.sink).delivered = (sink.get(pair.sink).delivered ?? 0)
                    + pair.delivered;
    }
    for (const k of status.sinks)
        k.rate = moved({ delivered: 0, ...k }, then.sinks.get(k.name), 'delivered', seconds);
    for (const r of status.rings) {
        r.fill = r.ring_bytes > 0 ? Math.min(1, Math.max(0, r.head - r.accepted) / r.ring_bytes)
                                  : 0;
        r.rate = moved(r, then.rings.get(r.name), 'accepted', seconds);
        r.dropped = sum(r.drops);
    }
}

function show(status) {
    const filter = $('filter').value.toLowerCase();
    const state = status.stopping ? ['stopping', 'warn']
        : !status.ready ? ['recovering', 'warn']
            : status.pushes_back.length > 0 ? ['pushing back', 'bad'] : ['ready', 'good'];

    if (before !== null && before.epoch !== status.epoch) {
        before = null;              /* another start: its counters may go on, its clock does not */
        history = new Map();
    }
    rows_of(status);
    badge($('state'), ...state);
    say($('agent'), status.agent);
    document.title = `${status.agent}: Hydrant`;
    say($('about'), `Hydrant ${status.version}, up ${time(status.uptime_ns)}, process ${status.pid}`);
    show_tiles(status, status.streams);
    show_notes(notes_of(status));
    tables[0].show(status.streams.filter((s) => s.name.toLowerCase().includes(filter)),
        status.streams.length);
    tables[1].show(status.sinks, status.sinks.length);
    tables[2].show(status.rings, sum(status.rings_by_state));
    before = status;
    $('live').hidden = false;
    $('login').hidden = true;
}

function ask_token(words) {
    badge($('state'), 'token wanted', 'warn');
    say($('why'), words);
    $('live').hidden = true;
    if ($('login').hidden) {
        $('login').hidden = false;
        $('token').focus();
    }
}

async function poll() {
    if (paused || document.hidden || !$('login').hidden)
        return;
    try {
        const answer = await fetch('/v1/status', {
            headers: token === '' ? {} : { Authorization: 'Bearer ' + token },
            cache: 'no-store', signal: AbortSignal.timeout(8000),
        });

        if (answer.status === 401)
            ask_token(token === '' ? '' : 'That token is not the one.');
        else if (answer.ok)
            show(await answer.json());
        else
            badge($('state'), `the agent answers ${answer.status}`, 'bad');
    } catch (error) {
        badge($('state'), error instanceof TypeError || error.name === 'TimeoutError'
            ? 'no answer' : 'cannot show what the agent says', 'bad');
        if (!(error instanceof TypeError) && error.name !== 'TimeoutError')
            throw error;
    }
}

/* The next one when this one is over: a slow agent is not asked faster than it answers. */
async function run() {
    try {
        await poll();
    } finally {
        setTimeout(run, POLL_MS);
    }
}

$('login').addEventListener('submit', (event) => {
    event.preventDefault();
    token = $('token').value;
    sessionStorage.setItem('hydrant-token', token);
    $('token').value = '';
    $('login').hidden = true;
    badge($('state'), 'connecting', '');
    poll();
});
$('pause').addEventListener('click', () => {
    paused = !paused;
    $('pause').setAttribute('aria-pressed', String(paused));
    say($('pause'), paused ? 'Go on' : 'Pause');
});
$('filter').addEventListener('input', () => {
    if (before !== null)
        tables[0].show(before.streams.filter((s) =>
            s.name.toLowerCase().includes($('filter').value.toLowerCase())),
        before.streams.length);
});
run();
