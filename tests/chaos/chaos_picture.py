"""The picture of a soak: memory, queues, tasks and turns over virtual time.

Thread: main, after the soak.  It must never judge.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos_soak import Soak


def picture(soak: Soak, warm_up_h: float, path: Path) -> None:
    """Memory, queues, turns and sessions over virtual time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    hours = [s.hours for s in soak.samples]
    figure, axes = plt.subplots(4, 1, figsize=(10, 9), sharex=True, layout="constrained")
    memory, queues, tasks, life = axes
    memory.plot(hours, [s.rss_mb for s in soak.samples], color="tab:red")
    memory.axvline(min(warm_up_h, soak.hours / 2), color="grey", linestyle=":")
    memory.set_ylabel("resident MB")
    middle = soak.warm[0].rss_mb if soak.warm else 0.0
    memory.set_ylim(middle - 10, middle + 10)
    queues.plot(hours, [s.uplink_ms for s in soak.samples], label="uplink, ms")
    queues.plot(hours, [s.playout_s for s in soak.samples], label="playout, s")
    queues.plot(hours, [s.inbox for s in soak.samples], label="inbox, events")
    queues.plot(hours, [s.memory_turns for s in soak.samples], label="remembered turns")
    queues.set_ylabel("queues")
    queues.legend(loc="center right")
    tasks.plot(hours, [s.tasks for s in soak.samples], label="tasks")
    tasks.plot(hours, [s.threads for s in soak.samples], label="threads")
    tasks.plot(hours, [s.files for s in soak.samples], label="open files")
    tasks.set_ylim(bottom=0)
    tasks.set_ylabel("tasks, threads, files")
    tasks.legend(loc="center right")
    life.plot(hours, [s.turns for s in soak.samples], label="utterances")
    life.plot(hours, [s.sessions for s in soak.samples], label="sessions")
    life.set_ylabel("so far")
    life.set_xlabel("hours of virtual time (the day begins at 7:00)")
    life.legend(loc="upper left")
    figure.suptitle(
        f"{soak.hours:g} h of household life: memory {soak.rss_growth_mb:+.2f} MB after warm-up, "
        f"{soak.sums['lost']} turns lost, {soak.sums['doubled']} doubled"
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)
