"""Recorded noises, rooms and music of the hearing benchmark: see `sources`, whose rows these are.

`where` and `what` say what decides the part of a noise and of a room.

Thread: none of its own.  It must never let takes of one knock come into two parts.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.hearing.sources import Recorded

HOUSEHOLD = (
    r"tree_hit|Got_Hit|Collision|bump|hammer|impact|_hit|click|Click|steps|splash|reload|placed|"
    r"skip|whipcrack|Droplet|Build|Blacksmith|Pottery|Tip\d|Raze|Recycle|Monument|Mill\d|OreMine"
)
"""Knocks, clatter, tools and water.  Sirens, tunes, engines and animals are no noises of a room,
and nobody could say of some of them that they are no voice."""

FIRST = (
    Recorded("sound", "usr/share/games/freedroid/sound/*.*", "freedroid-data", "GPL-2+", HOUSEHOLD),
    Recorded(
        "sounds", "usr/share/games/etr/sounds/*.*", "extremetuxracer-data", "GPL-2+", HOUSEHOLD
    ),
    Recorded(
        "Sounds",
        "usr/share/games/hedgewars/Data/Sounds/*.*",
        "hedgewars-data",
        "GFDL-1.3, CC-BY-SA-3.0",
        HOUSEHOLD,
    ),
    Recorded(
        "sounds", "usr/share/games/lincity-ng/sounds/*.*", "lincity-ng-data", "GPL-2+", HOUSEHOLD
    ),
)
"""Of the first detector: each file goes to the part that it went to then."""


def _game(package: str, folder: str, licence: str, only: str, never: str = r"^\b$") -> Recorded:
    source = package.removesuffix("-data")
    return Recorded(source, f"usr/share/{folder}", package, licence, only, never)


NOISES = (
    _game(
        "0ad-data",
        "games/0ad/mods/public/audio/**/*.ogg",
        "CC-BY-SA-3.0",
        r"^(arrow_|fleshimp|shield_|siegeproj|sling_(metal|stone|wood)|building_collapse|stonegate|"
        r"hstep|Foo.step|fs_|con_|hoe_|leaves_|gather_|lumber_|mine_)",
    ),
    _game(
        "widelands-data",
        "games/widelands/data/sound/**/*.ogg",
        "GPL-2+",
        r"^(hammering|geologist_hammer|sharpening|smith|toolsmith|weav|woodcutting|fast_wood|tree_f|"
        r"goldping|ironping|sawmill|stone|click|falling_tools|mortar|benchsaw|sawing|beerb|wineb|"
        r"scythe|fisher|create_c)",
    ),
    _game(
        "supertuxkart-data",
        "games/supertuxkart/data/sfx/*.ogg",
        "CC-BY-SA-3.0, CC-BY-SA-4.0, CC-BY-3.0, GPL-2+, CC0, public domain",
        r"^(ball_b|bowling|break|crash|hammer|metal_clang|plopp|plunger|splash|strike|swatter|"
        r"wooden_bridge|locked|skid)",
    ),
    _game(
        "wesnoth-1.16-data",
        "games/wesnoth/1.16/data/core/sounds/*.*",
        "GPL-2+",
        r"^(axe|bow|cave-in|claws|club|crossbow|dagger|dart|dragonstick|entangle|fist|flail|gold|"
        r"gunshot|hatchet|knife|mace|miss|mud|net\.|open-chest|pincers|rumble|sling|spear|squishy|"
        r"staff|sword|tail|throw|torch|skeleton-hit|skeleton-big-hit|melee-fire|water-blast)",
    ),
    _game(
        "wesnoth-1.16-data",
        "games/wesnoth/1.16/sounds/*.*",
        "GPL-2+",
        r"^(button|checkbox|contract|expand|slider|select)",
    ),
    _game(
        "minetest-data",
        "games/minetest/games/minetest_game/mods/*/sounds/*.ogg",
        "CC-BY-SA-3.0, CC-BY-3.0, CC0-1.0",
        r"^(default|doors|xpanes|fire_flint|fire_extinguish)",
        r"lava|furnace|smoke",
    ),
    _game(
        "ufoai-sound",
        "games/ufoai/base/sound/*/*.ogg",
        "GPL-2+, CC-BY-SA-3.0, CC-BY-3.0, public domain",
        r"^(door|open_close|creak_low|carpet|dirt|grass|gravel|hitground|linoleum|metal|sand|snow|"
        r"splash|stone|tile|wood|water_(in|out)|crouch|stand|bullet-impact|knife|nail|water-impact|"
        r"waterbullet|break(glass|metal|wood)|click|item|reload|grenade-(bounce|pin)|melee)",
        r"sand-city",
    ),
    _game(
        "openarena-data",
        "games/openarena/baseoa/sound/**/*.wav",
        "GPL-2+",
        r"^(dr1|pt1|butn|boot|clank|flesh|mech\d|splash|step|clack|drops|ar\d_pkup|am_pkup|w_pkup)",
    ),
    _game(
        "supertux-data",
        "games/supertux2/sounds/*.*",
        "GPL-3+",
        r"^(brick|cracking|crystallo-sh|darthit|door|iceblock|icecrash|kick|locked|pop|splash|splat|"
        r"stomp|switch|thud|turnkey|wood|flip|flop|squish|skid|ticking|fizz|sizzle|mr_treehit)",
    ),
    _game(
        "lugaru-data",
        "games/lugaru/Sounds/*.ogg",
        "CC-BY-SA-3.0",
        r"^(Break|Broken|Bush|Clank|FleshStab|FootStep|HeavyImpact|Knife|Land|MetalHit|Skid|SnowSkid|"
        r"Splatter|Staff|Sword|Thud|WhooshHit|FireStart|FireEnd|MoveWhoosh)",
    ),
    _game(
        "warmux-data",
        "games/warmux/sound/default/*/*.ogg",
        "GPL-2+",
        r"^(box_|clic|anvil_coll|footbomb_b|grenade_b|construct|grapple|load|slap|baseball|m16_cart|"
        r"ricoche|airhammer|step|weapon_(hide|show)|cluzooka_hit|change_weapon)",
    ),
    _game(
        "megaglest-data",
        "games/megaglest/**/*.wav",
        "CC-BY-SA-3.0",
        r"^(anvil|arrow_hit|catapult_(hit|walk|attack)|tech_building_fall|tech_click|tower_hit|"
        r"technician_build|worker_(build|harvest|mine)|horseman_walk|golem_(walk|hit)|click_)",
    ),
    _game(
        "freedroidrpg-data",
        "freedroidrpg/data/sound/effects/**/*.ogg",
        "GPL-2+",
        r"^(Item_|drop_|Glass_Break|MenuClick|open_chest|CameraTakes|swing_then_hit|Shop_)",
    ),
    _game(
        "foobillardplus-data",
        "games/foobillardplus/data/*.wav",
        "GPL-2",
        r"^(ball|oneball|shuffle|smack)",
    ),
    _game(
        "pinball-data",
        "games/pinball/*/*.wav",
        "GPL-2",
        r"^(bump|flip|lock|nudge|shoot|opentux|up)",
    ),
    _game(
        "frozen-bubble-data",
        "games/frozen-bubble/snd/*.ogg",
        "GPL-2",
        r"^(destroy|launch|rebound|stick|typewriter|menu_change)",
    ),
    _game(
        "scratch",
        "scratch/Media/Sounds/*/*.*",
        "CC-BY-SA-3.0",
        r"^(Balloon|DoorC|Plunge|Pop\.|Rattle|Typing|WaterDrop|FingerSnap|Footsteps|HandClap|Shaker|"
        r"Bubbles|SewingMachine)",
    ),
    _game(
        "tuxpaint-data",
        "tuxpaint/sounds/*.wav",
        "GPL-2+",
        r"^(bubble|click|eraser|flip|keyclick|paint|return|save|scroll|stamp|typewriterbell)",
    ),
    _game(
        "sound-theme-freedesktop",
        "sounds/freedesktop/stereo/*.oga",
        "CC-BY-SA-3.0, CC-BY-3.0",
        r"^(camera|screen|trash|audio-volume|power)",
    ),
    _game(
        "gnome-audio",
        "sounds/**/*.wav",
        "CC-BY-SA-2.0, CC-BY-3.0",
        r"^(card|clicked|toggled|activate)",
    ),
    _game(
        "sonic-pi-samples",
        "sonic-pi/samples/*.flac",
        "CC0-1.0",
        r"^(perc_(door|impact|snap|swash|swoosh|till)|drum_|tabla_|vinyl_)",
        r"_(cymbal|splash)_|drum_roll",
    ),
    _game(
        "lmms-common",
        "lmms/samples/*/*.ogg",
        "GPL-2+",
        r"^(bassdrum_acoustic|clap|clav|rim|shaker|sidestick|snare_(acoustic|rim|muffled|short)|tom|"
        r"wood|hit0|metronome|kick_soft)",
    ),
)
"""A folder of a package belongs to one part: see `where`."""


def _kit(folder: str, licence: str) -> Recorded:
    files = f"usr/share/hydrogen/data/drumkits/{folder}/*.*"
    never = r"(?i)\.(xml|txt|h2song|png)$|README|empty|loop|crash|ride|china|cymbal|bell"
    return Recorded(f"kit {folder}", files, "hydrogen-drumkits", licence, never=never)


KITS = (
    _kit("Gimme A Hand 1.0", "GPL-2"),
    _kit("The Black Pearl 1.0", "GPL-2"),
    _kit("circAfrique v4", "CC-BY-SA-3.0"),
    _kit("ColomboAcousticDrumkit", "GPL-2+"),
    _kit("ForzeeStereo", "GPL-2"),
    _kit("Millo_MultiLayered2", "GPL-2"),
    _kit("Millo_MultiLayered3", "GPL-2"),
    _kit("Millo-Drums_v.1", "GPL-2"),
    _kit("BJA_Pacific", "CC-BY-SA-3.0-us"),
    _kit("rumpf_kit_z01_h2", "CC-BY-3.0"),
)
"""Drums as knocks; a kit belongs to one part, since its drums sound in one room.  GMRockKit is The
Black Pearl once more."""

AMBIENCE = (
    _game(
        "0ad-data",
        "games/0ad/mods/public/audio/ambient/*/*.ogg",
        "CC-BY-SA-3.0",
        r"^(rain|snowstorm|wind|river|waterfall|wave)",
    ),
    _game(
        "supertuxkart-data",
        "games/supertuxkart/data/sfx/*.ogg",
        "CC-BY-SA-3.0, CC-BY-SA-4.0, CC-BY-3.0, GPL-2+, CC0, public domain",
        r"^(rain|river|waterfall|machine_sound)",
    ),
    _game(
        "ufoai-sound",
        "games/ufoai/base/sound/ambience/*.ogg",
        "GPL-2+, CC-BY-SA-3.0, CC-BY-3.0, public domain",
        r"^(fire|smallfire|arcticwind|hum|lights|machine1|minepump|steam|wind_|tv_static|water|"
        r"droning|alien-vent|sparks\.)",
    ),
    _game(
        "openarena-data",
        "games/openarena/baseoa/sound/world/*.wav",
        "GPL-2+",
        r"^(fan|fire|machinerydrone|neonhum|tim_(machine|pump|drone)|waterfall|wind)",
    ),
    _game(
        "minetest-data",
        "games/minetest/games/minetest_game/mods/*/sounds/*.ogg",
        "CC-BY-SA-3.0, CC-BY-3.0, CC0-1.0",
        r"^(env_sounds_water|fire_(fire|large|small)|default_furnace)",
    ),
    _game(
        "megaglest-data",
        "games/megaglest/**/*.*",
        "CC-BY-SA-3.0",
        r"^(rain\.ogg|water\d\.wav)",
    ),
    _game("supertux-data", "games/supertux2/sounds/*.wav", "GPL-3+", r"^(rain|waterfall)"),
    _game("lugaru-data", "games/lugaru/Sounds/*.ogg", "CC-BY-SA-3.0", r"^(Wind|DesertAmb|Fire\.)"),
    _game(
        "wesnoth-1.16-data", "games/wesnoth/1.16/data/core/sounds/ambient/*", "GPL-2+", "^campfire"
    ),
    _game("scratch", "scratch/Media/Sounds/*/*.*", "CC-BY-SA-3.0", r"^(WaterRunning|Ripples)"),
    _game(
        "lincity-ng-data",
        "games/lincity-ng/sounds/*.wav",
        "GPL-2+",
        r"^(Water\d|Fire\d|WindMill\d|PowerLine|Substation\d)",
    ),
)
"""Rain, fire, wind, water, machines: room noise without speech."""


MUSIC = (
    "usr/share/games/etr/music/*.ogg",
    "usr/share/games/hedgewars/Data/Music/*.ogg",
    "usr/share/games/fillets-ng/music/*.ogg",
    "usr/share/games/colobot/music/*.ogg",
    "usr/share/games/warmux/music/*/*.ogg",
)
"""extremetuxracer-data, hedgewars-data, fillets-ng-data, colobot-common-sounds, warmux-data: each
GPL-2 or later, or GFDL-1.3."""


def where(row: Recorded, path: Path) -> str:
    """What decides the part of a noise: the folder it comes from.

    Within one, the same knock comes back as another take, softer, or under another name.
    """
    return f"effect {row.package} {path.parent.name}"


def what(row: Recorded, path: Path) -> str:
    """What decides the part of a room: what is heard, since games take each other's rain."""
    found = re.match(r"fire|wind|water|wave|[a-z]+", path.stem.lower())
    return "room " + (found.group() if found else row.package)
