"""The kinds of session that the hearing benchmark knows: what goes wrong in each, and how often.

`KINDS` by name; `scenes.scene` makes a session of one.

Thread: none of its own.  It must never say what a session sounds like: that is `scenes`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Kind:
    """What a session is made of."""

    name: str
    near_db: tuple[float, ...] = ()
    """Near-to-echo ratios to draw from; empty: nobody speaks but us."""
    first_s: tuple[float, float] = (3.5, 5.5)
    """When the first of them speaks."""
    letters: float = 0.0
    """Share of the people who say a single letter or a syllable."""
    transients: float = 0.0
    """Share of sessions with knocks and so on, unless `hits` says how many there are."""
    hits: int = 0
    recorded: float = 0.3
    """Share of them that is recorded; the rest is made."""
    coughs: int = 0
    change: float = 0.25
    """Share of sessions in which the path changes, unless `changes` says how often."""
    changes: int = 0
    volume: bool = False
    drift_ppm: tuple[float, float] = (0.0, 60.0)
    rattle: float = 0.0
    swell: float = 0.5
    noise_db: tuple[float, float] = (-45.0, -22.0)
    """Level of the room's noise against the echo's active level."""
    recorded_noise: float = 0.0
    """Share of sessions whose room's noise is a recording: rain, a fire, a machine."""
    stamps_s: tuple[float, float] = (0.0, 0.0)
    dropouts: int = 0
    music: float = 0.2
    """Share of sessions in which our own sound is music."""
    borrowed: float = 0.0
    """Share of the others in which our own voice is one of the people's, at another pitch.  There
    are six times as many of them as of synthetic voices."""
    around: str = ""
    """`music` or `speech` from somewhere else in the room."""
    around_db: tuple[float, float] = (-10.0, -10.0)
    apart: bool = False
    """Our voice does not reach the microphone: headphones, a loudspeaker in another room."""
    lost: int = 0
    """Pieces of microphone sound that the device lost and did not tell of."""


MIX = Kind("mix", transients=0.15)
TALK = Kind("talk", change=0.15, swell=0.4)
KINDS = {
    kind.name: kind
    for kind in (
        MIX,
        replace(MIX, name="knocks", transients=0, hits=7),
        replace(MIX, name="coughs", transients=0, coughs=5),
        replace(MIX, name="path", changes=4),
        replace(MIX, name="volume", volume=True),
        replace(MIX, name="drift", drift_ppm=(200.0, 200.0)),
        replace(MIX, name="rattle", rattle=1.0),
        replace(MIX, name="noise", noise_db=(-18.0, -8.0), swell=0.6),
        replace(MIX, name="early", stamps_s=(-0.05, -0.05)),
        replace(MIX, name="late", stamps_s=(0.05, 0.05)),
        replace(MIX, name="dropouts", dropouts=8),
        replace(MIX, name="room_music", around="music", around_db=(-15.0, -5.0)),
        replace(MIX, name="television", around="speech", around_db=(-20.0, -10.0)),
        replace(TALK, name="near+10", near_db=(10.0,)),
        replace(TALK, name="near0", near_db=(0.0,)),
        replace(TALK, name="near-10", near_db=(-10.0,)),
        replace(TALK, name="near-20", near_db=(-20.0,)),
        replace(TALK, name="near0_noise", near_db=(0.0,), noise_db=(-18.0, -8.0)),
        replace(TALK, name="near0_drift", near_db=(0.0,), drift_ppm=(200.0, 200.0)),
        replace(TALK, name="near0_letters", near_db=(0.0,), letters=1.0),
        replace(TALK, name="near0_late", near_db=(0.0,), stamps_s=(0.05, 0.05)),
        replace(TALK, name="near_apart", near_db=(0.0,), apart=True, transients=0.15),
        # For training, and `any_own` for tuning too: everything at once, at random.
        Kind(
            "any_talk",
            first_s=(0.8, 5.5),
            recorded_noise=0.3,
            recorded=0.6,
            letters=0.1,
            near_db=(16, 12, 8, 4, 0, -4, -8, -12, -16, -20, -24),
            transients=0.2,
            swell=0.5,
            rattle=0.15,
            noise_db=(-50, -12),
            stamps_s=(-0.08, 0.08),
            drift_ppm=(0, 200),
        ),
        Kind(
            "any_apart",
            recorded_noise=0.3,
            recorded=0.6,
            letters=0.1,
            near_db=(15, 10, 5, 0, -5, -10),
            apart=True,
            transients=0.4,
            swell=0.6,
            noise_db=(-50, -10),
        ),
        Kind(
            "any_own",
            recorded_noise=0.3,
            recorded=0.6,
            transients=0.4,
            swell=0.7,
            rattle=0.25,
            noise_db=(-50, -8),
            stamps_s=(-0.08, 0.08),
            drift_ppm=(0, 200),
            change=0.4,
            lost=1,
        ),
        Kind(
            "any_hits",
            recorded_noise=0.3,
            hits=9,
            recorded=0.6,
            coughs=1,
            volume=True,
            swell=0.7,
            rattle=0.3,
            noise_db=(-45, -10),
            drift_ppm=(0, 200),
            changes=1,
        ),
        Kind(
            "any_stress",
            recorded_noise=0.3,
            recorded=0.5,
            transients=0.3,
            hits=5,
            coughs=1,
            changes=2,
            volume=True,
            swell=0.8,
            rattle=0.4,
            noise_db=(-45, -8),
            stamps_s=(-0.08, 0.08),
            drift_ppm=(0, 200),
            dropouts=3,
            lost=1,
        ),
        *(
            Kind(
                name,
                near_db=near_db,
                first_s=(0.8, 5.5),
                borrowed=0.75,
                music=0.25,
                recorded_noise=0.3,
                transients=0.4,
                hits=hits,
                recorded=0.6,
                letters=0.1,
                volume=bool(hits),
                swell=0.6,
                rattle=0.2,
                noise_db=(-50, -10),
                stamps_s=(-0.08, 0.08),
                drift_ppm=(0, 200),
                change=0.4,
            )
            for name, near_db, hits in (
                ("any_other", (), 0),
                ("any_other_hits", (), 7),
                ("any_other_talk", (16, 12, 8, 4, 0, -4, -8, -12, -16, -20, -24), 0),
            )
        ),
    )
}
