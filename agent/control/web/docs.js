/*
 * The API page, made of /openapi.json. References within that document are followed; what is
 * shown is text.
 */
'use strict';

const METHODS = ['get', 'put', 'post', 'delete'];

const $ = (id) => document.getElementById(id);

function element(name, of = {}, ...children) {
    const made = document.createElement(name);

    for (const [key, value] of Object.entries(of))
        made.setAttribute(key, value);
    made.append(...children.filter((child) => child !== null));
    return made;
}

function resolve(api, part) {
    if (part?.$ref === undefined)
        return part;
    return part.$ref.slice(2).split('/').reduce((at, key) => at[key], api);
}

function type_of(api, schema) {
    const of = resolve(api, schema ?? {});
    const types = [of.type ?? (of.oneOf ?? of.anyOf ?? []).map((s) => type_of(api, s))].flat();
    const words = of.enum !== undefined ? of.enum.map((v) => JSON.stringify(v)).join(' | ')
        : of.type === 'array' ? 'array of ' + type_of(api, of.items) : types.join(' or ');

    return words + (of.default !== undefined ? ', default ' + JSON.stringify(of.default) : '');
}

function code(text) {
    return element('pre', { tabindex: '0' }, element('code', {}, text));
}

function rows(caption, heads, list) {
    return list.length === 0 ? null : element('table', {},
        element('caption', { class: 'quiet' }, caption),
        element('thead', { class: 'quiet' }, element('tr', {}, ...heads.map((h) =>
            element('th', { scope: 'col' }, h)))),
        element('tbody', {}, ...list.map(([first, ...rest]) => element('tr', {},
            element('th', { scope: 'row' }, first), ...rest.map((r) => element('td', {}, r))))));
}

function titled(title, part) {
    return part === null ? [] : [element('h4', {}, title), part];
}

function parameters(api, operation) {
    return rows('Parameters', ['Name', 'In', 'Meaning'], (operation.parameters ?? [])
        .map((p) => resolve(api, p))
        .map((p) => [p.name, `${p.in}: ${type_of(api, p.schema)}`, p.description ?? '']));
}

function fields(api, schema, prefix = '') {
    const of = resolve(api, schema ?? {});

    if (of.allOf !== undefined)
        return of.allOf.flatMap((part) => fields(api, part, prefix));
    return Object.entries(of.properties ?? {}).flatMap(([name, value]) => {
        const field = resolve(api, value);
        const inner = resolve(api, field.type === 'array' ? field.items : field);
        const must = (of.required ?? []).includes(name) ? 'required; ' : '';

        return [[prefix + name, must + type_of(api, field), field.description ?? ''],
            ...(inner?.properties !== undefined && prefix === ''
                ? fields(api, inner, name + (field.type === 'array' ? '[].' : '.')) : [])];
    });
}

function body(api, operation) {
    const content = Object.entries(resolve(api, operation.requestBody)?.content ?? {});

    return content.flatMap(([type, media]) => [
        element('h4', {}, 'Body: ' + type),
        rows('Fields', ['Name', 'Type', 'Meaning'], fields(api, media.schema)),
        media.example === undefined ? null : code(typeof media.example === 'string'
            ? media.example : JSON.stringify(media.example, null, 2)),
    ]).filter((part) => part !== null);
}

function answers(api, operation) {
    return rows('Answers', ['Status', 'Meaning', 'Body'], Object.entries(operation.responses)
        .map(([status, answer]) => {
            const of = resolve(api, answer);
            const examples = Object.entries(of.content ?? {}).map(([type, media]) =>
                media.example === undefined ? type : typeof media.example === 'string'
                    ? media.example : JSON.stringify(media.example));

            return [status, of.description, element('code', {}, examples.join('\n'))];
        }));
}

function curl(path, method, operation) {
    const [type, media] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
    const words = ['curl', ...(method === 'get' ? [] : ['-X', method.toUpperCase()])];
    const sample = media?.example;

    for (const p of operation.parameters ?? [])
        if (p.in === 'header' && p.schema?.example !== undefined)
            words.push('-H', `'${p.name}: ${p.schema.example}'`);
    if (type !== undefined)
        words.push('-H', `'Content-Type: ${type}'`, '-d',
            `'${typeof sample === 'string' ? sample : JSON.stringify(sample)}'`);
    words.push(location.origin + path.replaceAll('{name}', 'clicks'));
    return words.join(' ');
}

function article(api, path, method, operation) {
    const id = operation.operationId;

    return element('article', { id, 'aria-labelledby': id + '-title' },
        element('h3', { id: id + '-title' },
            element('span', { class: 'method ' + method }, method.toUpperCase()), path),
        element('p', {}, operation.summary + '.'),
        ...(operation.description ?? '').split('\n\n').filter((p) => p !== '')
            .map((p) => element('p', {}, p)),
        ...titled('Parameters', parameters(api, operation)),
        ...body(api, operation),
        ...titled('Answers', answers(api, operation)),
        element('h4', {}, 'By hand'), code(curl(path, method, operation)));
}

function show(api) {
    say_version(api);
    for (const tag of api.tags) {
        const list = element('ul');
        const group = element('section', { class: 'group' }, element('h2', {}, tag.name),
            element('p', { class: 'soft' }, tag.description ?? ''));

        for (const [path, item] of Object.entries(api.paths))
            for (const method of METHODS.filter((m) => item[m]?.tags.includes(tag.name))) {
                const operation = { ...item[method], parameters:
                    [...(item.parameters ?? []), ...(item[method].parameters ?? [])]
                        .map((p) => resolve(api, p)) };

                group.append(article(api, path, method, operation));
                list.append(element('li', {}, element('a', { href: '#' + operation.operationId },
                    element('span', { class: 'method ' + method }, method.toUpperCase()), path)));
            }
        $('contents').append(element('h2', {}, tag.name), list);
        $('main').append(group);
    }
    document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

function say_version(api) {
    $('version').textContent = `${api.info.title} ${api.info.version}`;
    $('main').append(...api.info.description.split('\n\n').map((p) => element('p', {}, p)));
}

fetch('/openapi.json')
    .then((answer) => answer.json())
    .then((api) => {
        show(api);
        $('state').remove();
    })
    .catch((error) => {
        $('state').textContent = 'The API document cannot be shown.';
        throw error;
    });
