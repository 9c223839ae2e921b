/** How often the exception handler is called for what any client can cause, in milliseconds. */
const REPORT_INTERVAL = 60_000;

/** Keeps a flood of connections from being a flood of reports: one at most in a minute, with the number of the others. */
export class ReportInterval {
  #reportedAt = -Infinity;
  #skipped = 0;

  /** Returns what to add to the message of a report, or `null` if this one is only counted. */
  next(now: number): string | null {
    if (now - this.#reportedAt < REPORT_INTERVAL) {
      this.#skipped++;
      return null;
    }
    const more = this.#skipped === 0 ? "" : ` (and ${this.#skipped} times since the last report)`;
    this.#reportedAt = now;
    this.#skipped = 0;
    return more;
  }
}
