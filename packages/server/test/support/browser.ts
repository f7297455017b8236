/**
 * A person's browser, as far as signing in needs one: cookies for each host, redirects, forms that are filled in, pages
 * that go on by themselves. It sends `Origin` with what it posts, and keeps SameSite=Strict cookies from navigations that
 * another site began, as browsers do.
 */
import { ask, type Answer } from './world.ts';

interface Cookie {
  readonly name: string;
  readonly value: string;
  readonly text: string;
  readonly strict: boolean;
}

const stepsMax = 20;

export class Browser {
  readonly #authority: string;
  readonly #cookies = new Map<string, Map<string, Cookie>>();
  /** Every address that was gone to, with its query. */
  readonly history: string[] = [];

  constructor(authority: string) {
    this.#authority = authority;
  }

  cookie(url: string, name: string): Cookie | undefined {
    return this.#cookies.get(new URL(url).host)?.get(name);
  }

  /** One request of a page of `from`; its own host's cookies go with it. */
  async send(method: string, url: string, from: string, body?: string | object): Promise<Answer> {
    const { host, origin } = new URL(url);
    const sameSite = new URL(from).host === host;
    const sent = [...(this.#cookies.get(host)?.values() ?? [])].filter(({ strict }) => sameSite || !strict);
    const type = typeof body === 'string' ? { 'content-type': 'application/x-www-form-urlencoded' } : {};
    const headers = {
      ...type,
      ...(method === 'GET' ? {} : { origin: new URL(from).origin }),
      ...(sent.length === 0 ? {} : { cookie: sent.map(({ name, value }) => `${name}=${value}`).join('; ') }),
    };
    this.history.push(`${method} ${url}`);
    const answer = await ask(url, this.#authority, { method, headers, body });
    this.#keep(origin, answer);
    return answer;
  }

  #keep(origin: string, answer: Answer): void {
    const { host } = new URL(origin);
    const jar = this.#cookies.get(host) ?? new Map<string, Cookie>();
    for (const text of [answer.headers['set-cookie'] ?? []].flat()) {
      const [pair = ''] = text.split(';');
      const at = pair.indexOf('=');
      const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
      if (value === '' || /max-age=0/i.test(text)) jar.delete(name);
      else jar.set(name, { name, value, text, strict: /samesite=strict/i.test(text) });
    }
    this.#cookies.set(host, jar);
  }

  /**
   * Goes to `url` from a page of `from` and on, signing in as `login` where a form asks, until `stop` says so of an
   * address (it is not gone to), or a page goes no further. Answers the last address and answer.
   */
  async go(
    url: string,
    from: string,
    login: string,
    stop: (url: string) => boolean,
  ): Promise<{ readonly url: string; readonly answer: Answer | undefined }> {
    let [next, origin, initiator] = [url, from, from];
    let request: { readonly method: string; readonly body?: string } = { method: 'GET' };
    for (let step = 0; step < stepsMax; step += 1) {
      if (stop(next)) return { url: next, answer: undefined };
      const answer = await this.send(request.method, next, initiator, request.body);
      const { location } = answer.headers;
      const text = answer.bytes.toString();
      const refresh = /http-equiv="refresh" content="0;url=([^"]*)"/
        .exec(text)?.[1]
        ?.replaceAll('&amp;', '&');
      const form = /<form[^>]* action="([^"]+)"[^>]*>/.exec(text)?.[1];
      if (typeof location === 'string') {
        // A redirect belongs to whoever began the navigation.
        [next, request] = [new URL(location, next).href, { method: 'GET' }];
        if (new URL(next).origin !== new URL(origin).origin) initiator = origin;
      } else if (refresh !== undefined) {
        [initiator, origin] = [next, next];
        [next, request] = [new URL(refresh, next).href, { method: 'GET' }];
      } else if (form !== undefined) {
        const prompt = /name="prompt" value="([a-z]+)"/.exec(text)?.[1] ?? '';
        const body = new URLSearchParams({ prompt, login, password: 'whatever it is' }).toString();
        [initiator, origin] = [next, next];
        [next, request] = [new URL(form, next).href, { method: 'POST', body }];
      } else return { url: next, answer };
    }
    throw new Error('went round in circles');
  }
}
