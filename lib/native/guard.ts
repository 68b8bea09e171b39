import { reportException } from './binding.js'

/** Runs a handler outside a batch, where nobody else catches what it throws. */
export function guard(run: () => void): void {
  try {
    run()
  } catch (error) {
    reportException(error)
  }
}
