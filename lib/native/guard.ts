import { reportException } from './binding.js'

/** Runs a handler outside a batch, where no other code catches what it throws. */
export function guard(run: () => void): void {
  try {
    run()
  } catch (error) {
    reportException(error)
  }
}
