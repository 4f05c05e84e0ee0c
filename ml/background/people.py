"""
Who belongs in a picture of people: the judge's maps and that of the network which knows people, weighed together.

The judge tells people from flowers, knows what people wear and carry in a street, lets cars in, and is lost where a person
fills the picture. The other network sees the second and the distant person and drops coats and bags; where there is nobody,
it takes whatever stands out.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.transforms import shrink_or_grow
from ml.picture.types import Matte

SUREST = 0.01
"""No map is believed beyond this and one minus this: a wall of certainty could not be argued with."""

A_PERSON, NO_PERSON, NO_PERSON_AT_ALL = 1.2, 0.8, 1.2
"""
What the people's map counts beside the judge's 1, in log odds: where it says that there is one, where it says none, and where it
says none in the whole picture, which it did of none of 117 ECSSD photos of people, and the judge outvoted otherwise (an osprey).

Chosen on the parts of Penn-Fudan and CCP that are for tuning (IoU .828 to .850, .953 to .954): with less than .8 cars stay,
with more coats go; with more than 1.2 nothing is gained.
"""

CERTAIN = 1.5
"""What the sum of both is multiplied with: later steps take a wide "perhaps" for a yes, and here it is a car more often.

Penn-Fudan .851 to .852 of IoU (2: the same, recall .951 to .950), CCP .9536 to .9544 (2: .9546).
"""

NOBODY, SOMEBODY = 0.1, 0.3
"""
The judge's mean where the other sees people: up to the first there is nobody, from the second on there is.

On 101 ECSSD photos in which it sees something: .86 in those of people, .17 in the others, of which it would take 92 % for
people; so 38 % keep anything, and 33 % by the judge alone.
"""

PORTRAIT_SHARE, PORTRAIT_SOLID, PORTRAIT_BASE = 0.2, 0.93, 0.1
"""Somebody is there, too, where what it sees has that share of the picture, is that solid and stands on its lower border."""

CLOSE_FROM, CLOSE = 0.1, 0.2
"""The share of the picture that one person has when what stands out begins to belong to them, and when all of it does."""

JUDGED_NOBODY, JUDGED_SOMEBODY = 0.3, 0.6
"""As `NOBODY` and `SOMEBODY`, where the judge alone is asked: its mean for people over what stands out (IoU of the 77 photos of
people .836 to .866; Penn-Fudan and CCP, what is for tuning, the same to .002)."""

PASSER_BY_SHARE = 0.001
"""Of the picture: the smallest piece of a passer-by. Anything less is an edge drawn in another way."""

RIM_PX = 3
"""Of a passer-by's soft edge, on the judge's grid."""


def weigh_people(human: Matte, salient: Matte, people: Matte) -> Matte:
    """
    Weigh the maps. A person whom the judge doesn't see and whom the picture's border cuts off is a passer-by, and left out.

    Args:
        human, salient: (S, S) float32, 0..1: what the judge keeps of people, and of whatever stands out.
        people: (h, w) float32, 0..1: where people are, of any size and proportions.

    Returns:
        (S, S) float32, 0..1.
    """
    people = shrink_or_grow(people, human.shape[::-1])
    is_there = _is_anybody_there(human, people)
    close = is_there * _ramp(_largest_share(people), CLOSE_FROM, CLOSE)
    judged = human + np.float32(close) * (salient - human)
    evidence = _log_odds(people)
    sees_anybody = bool((people > 0.5).any())
    against = NO_PERSON if sees_anybody else NO_PERSON_AT_ALL
    odds = _log_odds(judged) + np.where(evidence > 0, is_there * A_PERSON, against) * evidence
    weighed = np.asarray(1 / (1 + np.exp(-CERTAIN * odds)), np.float32)
    return np.where(_passers_by(weighed, judged), np.minimum(weighed, judged), weighed)


def close_up(human: Matte, salient: Matte) -> Matte:
    """
    What the judge alone keeps of people: all that stands out, where that is large and a person mostly, as in a portrait.

    Args:
        human, salient: as for `weigh_people`.

    Returns:
        (S, S) float32, 0..1.
    """
    stands_out = salient > 0.5
    if not stands_out.any():
        return human
    share = _ramp(float(np.minimum(human, salient)[stands_out].mean()), JUDGED_NOBODY, JUDGED_SOMEBODY)
    return human + np.float32(share * _ramp(_largest_share(salient), CLOSE_FROM, CLOSE)) * (salient - human)


def _is_anybody_there(human: Matte, people: Matte) -> float:
    seen = people > 0.5
    if not seen.any():
        return 0.0
    haze = people[people > 0.1]
    is_portrait = seen.mean() > PORTRAIT_SHARE and haze.mean() > PORTRAIT_SOLID and seen[-3:].mean() > PORTRAIT_BASE
    return 1.0 if is_portrait else _ramp(float(np.minimum(human, people)[seen].mean()), NOBODY, SOMEBODY)


def _largest_share(people: Matte) -> float:
    _, _, facts, _ = cv2.connectedComponentsWithStats((people > 0.5).astype(np.uint8))
    return float(facts[1:, cv2.CC_STAT_AREA].max(initial=0)) / people.size


def _ramp(value: float, first: float, last: float) -> float:
    return min(1.0, max(0.0, (value - first) / (last - first)))


def _log_odds(matte: Matte) -> NDArray[np.float32]:
    share = np.clip(matte, SUREST, 1 - SUREST)
    return np.asarray(np.log(share / (1 - share)), np.float32)


def _passers_by(weighed: Matte, judged: Matte) -> NDArray[np.bool_]:
    added = ((weighed > 0.5) & (judged < 0.5)).astype(np.uint8)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(added, connectivity=8)
    height, width = judged.shape
    left, top, across, down, area = facts.T
    is_cut_off = (left == 0) | (top == 0) | (left + across == width) | (top + down == height)
    is_passer_by = is_cut_off & (area > PASSER_BY_SHARE * judged.size)
    is_passer_by[0] = False
    own = is_passer_by[labels].astype(np.uint8)
    return cv2.dilate(own, np.ones((2 * RIM_PX + 1,) * 2, np.uint8)) > 0
