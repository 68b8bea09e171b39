import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** One JSON line that a server or the load generator printed. */
export type Message = { event: string } & Record<string, number | string>

interface Waiter {
  event: string
  resolve(message: Message): void
  reject(error: Error): void
}

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** A child process that gets lines, and replies with JSON lines. */
export class LineProcess {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #received: Message[] = []
  readonly #exited: Promise<unknown>
  #waiter: Waiter | undefined
  #ended: Error | undefined
  #stderr = ''

  constructor(
    readonly name: string,
    [file, ...args]: readonly [string, ...string[]],
  ) {
    this.#child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.pid = this.#child.pid ?? 0
    running.add(this.#child)
    this.#exited = once(this.#child, 'close').catch(() => {})
    this.#child.stdin?.on('error', () => {}) // the exit, which is the cause, is reported below
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-4096)
    })
    if (this.#child.stdout !== null) {
      createInterface({ input: this.#child.stdout }).on('line', (line) => this.#receive(JSON.parse(line) as Message))
    }
    this.#child.once('error', (error) => this.#end(error))
    this.#child.once('close', (code, signal) => {
      this.#end(new Error(`${this.name} ended with ${signal ?? `code ${code}`}\n${this.#stderr}`))
    })
  }

  tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`)
  }

  /** Resolves with the next message of that kind. Rejects if the process ends, or sends none for `timeoutMs`. */
  async next(event: string, timeoutMs = 60_000): Promise<Message> {
    const index = this.#received.findIndex((message) => message.event === event)
    const [message] = index < 0 ? [] : this.#received.splice(index, 1)
    if (message !== undefined) return message
    if (this.#ended !== undefined) throw this.#ended
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise<Message>((resolve, reject) => {
        this.#waiter = { event, resolve, reject }
        const late = () => reject(new Error(`${this.name} sent no '${event}' in ${timeoutMs} ms\n${this.#stderr}`))
        timer = setTimeout(late, timeoutMs)
      })
    } finally {
      clearTimeout(timer)
      this.#waiter = undefined
    }
  }

  /** Sends a line, and waits for the reply. */
  ask(line: string, event: string, timeoutMs?: number): Promise<Message> {
    this.tell(line)
    return this.next(event, timeoutMs)
  }

  /** Ends stdin, so that the process exits. Rejects if it ends in any other way than with code 0. */
  async stop(): Promise<void> {
    this.#child.stdin?.end()
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000)
    await this.#exited
    clearTimeout(killer)
    if (this.#child.exitCode !== 0) throw this.#ended
  }

  /** Kills the process immediately. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  #receive(message: Message): void {
    if (this.#waiter?.event === message.event) this.#waiter.resolve(message)
    else this.#received.push(message)
  }

  #end(error: Error): void {
    running.delete(this.#child)
    this.#ended ??= error
    this.#waiter?.reject(error)
  }
}

/** Returns a number of a message. Any other value is a bug in the sender. */
export function number(message: Message, key: string): number {
  const value = message[key]
  if (typeof value !== 'number') throw new Error(`no number '${key}' in ${JSON.stringify(message)}`)
  return value
}
