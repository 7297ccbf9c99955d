"""What one feels about things: love rather than hate, the best known pair of ActAdd.

Every request and answer is made here, of things that people have feelings about. The behaviour is
to say that one loves a thing rather than that one hates it; other things are asked about in each
part.
"""

from __future__ import annotations

import random
from itertools import islice

from workbench.experiments.compare.task import Item, Task, answered_task
from workbench.models import chat
from workbench.models.hooked import HookedModel
from workbench.testbeds.splits import Part

COUNTS: dict[Part, int] = {"train": 36, "validation": 24, "test": 40}
_THINGS = """
the rain, my neighbour, this song, old books, the sea, city traffic, cold soup, long walks,
spicy food, the new manager, winter mornings, crowded trains, the museum, that film, my cousin,
green tea, loud music, the garden, early meetings, this restaurant, dark chocolate,
rainy Sundays, the forest, our teacher, video games, the night shift, snow, the old house,
waiting rooms, black coffee, the circus, desert holidays, family dinners, the harbour,
fast cars, quiet libraries, the dentist, mountain roads, poetry, the gym, board games,
the opera, street markets, my bicycle, the office, wild birds, cooking, the subway,
abstract paintings, autumn leaves, morning fog, the beach, garlic bread, our landlord,
science lessons, thunderstorms, the village, raw onions, the fireworks, the piano, old maps,
camping, the airport, cats, lemon cake, the lecture, the choir, goats, sleeping late,
new shoes, the queue, the ferry, hospital food, history lessons, sewing, the marathon, honey,
the puppet show, silence, jazz, the swimming pool, the attic, plastic flowers, the moon,
cheap wine, the zoo, lost luggage, bread, chess, noise, public speaking, knitting,
the elevator, soft pillows, mushrooms, clouds, parking lots, goldfish, the bakery, the news
"""
THINGS = tuple(thing.strip() for thing in _THINGS.split(","))


def feeling_task(model: HookedModel, seed: int = 0) -> Task:
    """Saying that one loves something rather than that one hates it.

    Contrasts are requests that have just been answered with love, and with hate.
    """
    things = iter(random.Random(seed).sample(THINGS, len(THINGS)))
    items = {
        part: tuple(
            Item(
                chat(model, f"Tell me what you feel about {thing}."),
                f"I love {thing}.",
                f"I hate {thing}.",
            )
            for thing in islice(things, count)
        )
        for part, count in COUNTS.items()
    }
    return answered_task(model, items, "feeling", "love rather than hate")
