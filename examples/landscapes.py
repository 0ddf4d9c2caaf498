"""Landscapes in perspective: a rock tower, a canyon, pyramids, snowy mountains over a forest, and a mountain lake."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from PIL import Image
from plants import forest, grass
from terrain import Eye, View, clouds, haze, look
from textures import SIDE, Array, blur, develop, grid, mix, noise, ramp, rgb, ridges, rise, sample


def clear_sky(eye: Eye, *codes: str) -> Array:
    """A graded sky (SIDE, SIDE, 3), from the horizon (first colour) up to the top of the picture (last)."""
    up = np.clip(1 - (np.arange(SIDE) + 0.5) / (eye.horizon * SIDE), 0, 1)
    return np.broadcast_to(ramp(up**0.75, *codes)[:, None], (SIDE, SIDE, 3)).copy()


def cloudy(sky: Array, deck: tuple[Array, Array], colour: str = "#ffffff") -> Array:
    opacity, brightness = deck
    return mix(sky, rgb(colour) * brightness[..., None], 0.92 * opacity)


def sandstone(view: View, rng: Generator, scale: float, *codes: str) -> Array:
    """Layered rock (N, 3): beds by height, bent a little, streaks of desert varnish down the faces, and grit."""
    bend, beds, grit = noise(rng, 2.0), noise(rng, 0.9, low=2, high=260, stretch=(1, 1000)), noise(rng, 0.8, low=8)
    wavy = view.y / scale + 0.02 * sample(bend, view.z / scale * 0.15, view.x / scale * 0.15)
    bed = sample(beds, wavy * 0.22, np.zeros_like(wavy))
    fine = sample(beds, wavy * 1.1 + 0.4, np.zeros_like(wavy))
    rough = sample(grit, view.y / scale * 0.5, (view.x + 0.7 * view.z) / scale * 0.5)
    streak = sample(
        noise(rng, 1.2, low=6, stretch=(14, 1)), view.y / scale * 0.3, (view.x + 0.7 * view.z) / scale * 0.3
    )
    steep = rise(0.75, 0.4, view.normal[:, 1])
    tint = 0.5 + 0.15 * bed + 0.07 * fine + 0.08 * rough
    colour = ramp(np.clip(tint, 0, 1), *codes)
    return mix(colour, rgb("#3c211a"), 0.45 * steep * rise(0.6, 2.2, streak))


def desert_floor(view: View, rng: Generator, scale: float, sand: tuple[str, ...], scrub: str) -> Array:
    """Sand with ripples of tone, pebbles, and dark bushes that thin out with the noise."""
    patch, grit, spots = noise(rng, 1.9, low=3), noise(rng, 0.7, low=12), noise(rng, 0.9, low=60, high=200)
    at = view.z / scale, view.x / scale
    tone = 0.5 + 0.12 * sample(patch, at[0] * 0.2, at[1] * 0.2) + 0.09 * sample(grit, at[0] * 0.8, at[1] * 0.8)
    colour = ramp(np.clip(tone, 0, 1), *sand)
    bush = rise(
        1.15, 1.7, sample(spots, at[0] * 0.35, at[1] * 0.35) + 0.45 * sample(patch, at[0] * 0.11 + 0.5, at[1] * 0.11)
    )
    return mix(colour, rgb(scrub) * (0.8 + 0.25 * sample(grit, at[0], at[1]))[..., None].clip(0.2), 0.85 * bush)


def tower(rng: Generator) -> Image.Image:
    """A tall sandstone column on its talus, under a clear evening sky."""
    eye = Eye(height=0.75, horizon=0.79, zoom=1.3, near=1.2, far=90)
    dents, fluting, rough = noise(rng, 2.4, low=2), noise(rng, 2.1, low=8, high=90), noise(rng, 2.0, low=4)
    mesa, ledges = noise(rng, 2.0, low=3), noise(rng, 1.0, low=3, high=120, stretch=(1, 1000))

    def ground(x: Array, z: Array) -> Array:
        plain = 0.07 * sample(rough, z * 0.08, x * 0.08) + 0.008 * sample(rough, z * 0.5, x * 0.5)
        radius = np.hypot(x + 0.15, z - 9.5)
        radius = radius * (1 + 0.10 * sample(dents, z * 0.11, x * 0.11) + 0.05 * sample(fluting, z * 0.25, x * 0.25))
        talus = 1.7 * np.clip(1 - radius / 3.4, 0, 1) ** 1.4 * (1 + 0.07 * sample(fluting, z * 0.12, x * 0.12))
        wall = (
            3.7 * rise(1.02, 0.90, radius) * (0.30 + 0.44 * rise(0.93, 0.85, radius) + 0.26 * rise(0.80, 0.70, radius))
        )
        wall += rise(0.72, 0.45, radius) * (0.22 + 0.12 * sample(dents, z * 0.4, x * 0.4))
        far = rise(0.25, 0.5, sample(mesa, z * 0.008 + 0.1, x * 0.012)) * rise(38, 48, z)
        return plain + talus + wall + far * (2.1 + 0.9 * rise(0.6, 0.75, sample(mesa, z * 0.008 + 0.1, x * 0.012)))

    view = look(ground, eye, (-0.75, 0.42, -0.5))
    rock = sandstone(view, rng, 1.6, "#6b2f1d", "#a3512f", "#c5764a", "#dba173", "#b5633c")
    floor = desert_floor(view, rng, 3.0, ("#8f5a3a", "#bb8257", "#d3a276"), "#4d4a2c")
    notch = sample(ledges, view.y * 0.25, np.zeros_like(view.y))
    rock *= (1 - 0.35 * rise(0.7, 2.0, notch))[:, None]
    albedo = mix(floor, rock, rise(0.93, 0.82, view.normal[:, 1] + 0.04 * sample(rough, view.z, view.x)))
    light = view.shade(albedo, np.array([1.45, 1.12, 0.78]), np.array([0.30, 0.38, 0.55]))
    sky = clear_sky(eye, "#f3d9b8", "#c9d3d8", "#86afd6", "#4f86c2", "#2f66a8")
    return develop(view.over(sky, haze(light, rgb("#d9c4b4"), view.z, 75)), rng, 1.2)


def canyon(rng: Generator) -> Image.Image:
    """Terraced red cliffs on both sides of a dry valley, under a blue sky with clouds."""
    eye = Eye(height=2.2, horizon=0.48, zoom=0.95, near=0.8, far=80)
    plan, spur, rough = noise(rng, 2.3, low=2), noise(rng, 2.1, low=5), noise(rng, 2.0, low=4)
    steps = np.cumsum(rng.uniform(0.35, 1.0, 9))
    steps /= steps[-1]

    def ground(x: Array, z: Array) -> Array:
        bent = x + 1.6 * np.sin(z * 0.16 + 0.6)
        rim = (
            np.abs(bent) / (4.6 + 0.13 * z)
            + 0.22 * sample(plan, z * 0.035, x * 0.035)
            + 0.09 * sample(spur, z * 0.08, x * 0.08)
        )
        butte = rise(3.2, 1.2, np.hypot(x - 2.2, z - 26)) * 0.95
        climb = np.clip(np.maximum((rim - 0.62) / 1.5, butte), 0, 1)
        climb = climb + 0.012 * sample(rough, z * 0.4, x * 0.4)
        shelf = sum(
            (high - low) * rise(low, low + 0.022, climb) for low, high in zip([0.04, *steps[:-1]], steps, strict=True)
        )
        return (
            5.6 * (0.72 * shelf + 0.28 * climb)
            + 0.06 * sample(rough, z * 0.1, x * 0.1)
            + 0.008 * sample(rough, z * 0.6, x * 0.6)
        )

    view = look(ground, eye, (-0.5, 0.6, -0.62), samples=900)
    rock = sandstone(view, rng, 1.5, "#5e2417", "#97402a", "#bf6440", "#d98f63", "#e3b48a", "#a94d30")
    floor = desert_floor(view, rng, 2.4, ("#8d4c30", "#b87149", "#d19a6c"), "#4a5030")
    albedo = mix(floor, rock, rise(0.92, 0.78, view.normal[:, 1] + 0.05 * sample(rough, view.z, view.x)))
    light = view.shade(albedo, np.array([1.5, 1.3, 1.05]), np.array([0.34, 0.44, 0.62]))
    sky = cloudy(clear_sky(eye, "#c4dbe9", "#7fb2de", "#3f83c4", "#2665ad"), clouds(noise(rng, 1.75, low=2), eye, 0.4))
    return develop(view.over(sky, haze(light, rgb("#b9c9da"), view.z, 110)), rng, 1.2)


def pyramids(rng: Generator) -> Image.Image:
    """Three stone pyramids on rippled sand."""
    eye = Eye(height=0.9, horizon=0.62, zoom=1.15, near=0.9, far=140)
    dune, ripple = noise(rng, 2.3, low=2), noise(rng, 1.2, low=16, high=40, stretch=(1, 4))
    stones, rough = noise(rng, 0.6, low=40), noise(rng, 1.9, low=4)
    # x, z, half side, height, turn
    tombs = [(-4.1, 18.0, 2.6, 3.5, 0.9), (3.2, 22.0, 4.3, 5.9, 0.85), (-2.2, 36.0, 4.6, 6.4, 0.95)]

    def square(x: Array, z: Array, tomb: tuple[float, ...]) -> Array:
        dx, dz, c, s = x - tomb[0], z - tomb[1], np.cos(tomb[4]), np.sin(tomb[4])
        return np.maximum(np.abs(c * dx + s * dz), np.abs(c * dz - s * dx)) / tomb[2]

    def ground(x: Array, z: Array) -> Array:
        sand = 0.22 * sample(dune, z * 0.03, x * 0.03) + 0.011 * sample(ripple, z * 0.22 + 0.02 * x, x * 0.22) * rise(
            18, 4, z
        )
        high = -1.0 + np.zeros_like(x)
        for tomb in tombs:
            climb = tomb[3] * (1 - square(x, z, tomb)) + 0.03 * sample(rough, z * 0.25, x * 0.25)
            course = 0.14
            step = np.floor(climb / course) + rise(0.0, 0.5, climb / course % 1.0)
            high = np.maximum(high, step * course)
        return np.maximum(sand, high)

    view = look(ground, eye, (-0.85, 0.5, -0.1), samples=900)
    near = np.min([square(view.x, view.z, tomb) for tomb in tombs], axis=0)
    built = rise(1.0, 0.97, near) * rise(-0.1, 0.1, view.y)
    along = (view.x + view.z) * 1.0
    block = sample(stones, view.y * 0.55, along * 0.30) + 0.8 * sample(rough, view.y * 0.3, along * 0.3)
    wall = ramp(np.clip(0.5 + 0.13 * block, 0, 1), "#5d452b", "#94734a", "#bd9a68", "#dabd8c")
    wall *= (1 - 0.35 * rise(0.75, 0.98, view.y / 0.14 % 1.0) * rise(40, 10, view.z))[:, None]
    tone = 0.5 + 0.10 * sample(rough, view.z * 0.1, view.x * 0.1) + 0.07 * sample(stones, view.z * 0.5, view.x * 0.5)
    sand = ramp(np.clip(tone, 0, 1), "#a47a48", "#cfa56c", "#e6c690")
    light = view.shade(mix(sand, wall, built), np.array([1.4, 1.16, 0.86]), np.array([0.26, 0.34, 0.48]))
    sky = cloudy(
        clear_sky(eye, "#ecdcc2", "#bdd0da", "#86b1d6", "#5088c0"),
        clouds(noise(rng, 1.9, low=2, stretch=(1, 2)), eye, 0.22),
    )
    return develop(view.over(sky, haze(light, rgb("#dccdb6"), view.z, 150)), rng, 1.2)


def alps(
    rng: Generator,
    eye: Eye,
    sun: tuple[float, float, float],
    peaks: list[tuple[float, float, float, float]],
    snow: float,
) -> tuple[View, Array]:
    """Ridged mountains: what is seen, and its lit colours (N, 3).  A peak is (x, z, height, spread); `snow` is a
    height.
    """
    crags, rough, warp = ridges(rng, octaves=8, low=2, gain=0.46), noise(rng, 2.0, low=8), noise(rng, 2.2, low=2)

    def ground(x: Array, z: Array) -> Array:
        u, v = x + 0.9 * sample(warp, z * 0.03, x * 0.03), z + 0.9 * sample(warp, z * 0.03 + 0.5, x * 0.03)
        mass = np.zeros_like(u)
        for px, pz, high, spread in peaks:
            mass = np.maximum(mass, high * np.clip(1 - np.hypot(u - px, 0.8 * (v - pz)) / spread, 0, 1) ** 1.25)
        crest = sample(crags, v * 0.045, u * 0.045 + 0.15) - 0.35
        fine = sample(crags, v * 0.16 + 0.4, u * 0.16) - 0.35
        return (
            mass * (1 + 0.12 * crest)
            + rise(0.1, 2.5, mass) * (1.35 * crest + 0.15 * fine + 0.012 * sample(rough, z * 0.4, x * 0.4))
            - 0.6
        )

    view = look(ground, eye, sun, samples=900)
    up, grain = view.normal[:, 1], sample(rough, view.z * 0.25, view.x * 0.25)
    bed = sample(noise(rng, 1.0, low=3, stretch=(1, 30)), view.y * 0.4 + view.x * 0.08, view.x * 0.1)
    rock = ramp(np.clip(0.5 + 0.10 * grain + 0.14 * bed, 0, 1), "#2b2d31", "#4c4a49", "#716a63", "#948a7e")
    white = rise(-0.10, 0.08, up - 0.52 + 0.03 * grain + 0.22 * np.clip(view.y - snow, -3, 0.6))
    return view, view.shade(
        mix(rock, rgb("#f2f4f8"), white), np.array([1.15, 1.02, 0.86]), np.array([0.30, 0.40, 0.58])
    )


def mountains(rng: Generator) -> Image.Image:
    """Snowy ridges in side light above a dark forest with mist."""
    eye = Eye(height=1.6, horizon=0.62, zoom=1.5, near=6, far=70)
    peaks = [
        (-1.5, 27, 10.5, 11.0),
        (7.5, 31, 8.6, 9.5),
        (-10.5, 33, 8.8, 10.0),
        (14, 40, 9.5, 12.0),
        (3.5, 46, 11.0, 14.0),
        (-4, 19, 2.8, 7.0),
    ]
    view, light = alps(rng, eye, (-0.8, 0.42, -0.3), peaks, 3.2)
    sky = cloudy(clear_sky(eye, "#dfe6ea", "#a9c4dc", "#6f9dca", "#3f74b0"), clouds(noise(rng, 1.8, low=2), eye, 0.32))
    picture = view.over(sky, haze(light, rgb("#b4c6da"), view.z, 90))
    mist = rgb("#c3cfd8")
    y, _ = grid()
    fog = noise(rng, 2.0, low=2, stretch=(1, 3))
    picture = mix(picture, mist, rise(520, 690, y + 40 * fog) * 0.85)
    layers = [
        (690, 1.0, 34, 420, 0.66),
        (735, 1.2, 48, 330, 0.48),
        (790, 1.2, 72, 260, 0.30),
        (865, 1.0, 105, 190, 0.14),
        (950, 0.8, 140, 130, 0.05),
        (1045, 0.6, 170, 90, 0.0),
    ]
    return develop(forest(picture, rng, layers, mist), rng, 1.0)


def lake(rng: Generator) -> Image.Image:
    """A mountain lake: peaks, a wooded shore, their reflection, and a flowering meadow in front."""
    eye = Eye(height=1.0, horizon=0.50, zoom=1.2, near=6, far=70)
    peaks = [
        (3.5, 30, 10.0, 11.0),
        (-7.5, 34, 8.0, 9.5),
        (13.0, 37, 8.0, 10.0),
        (-15, 40, 9.0, 12.0),
        (-2, 48, 9.5, 14.0),
        (-9, 20, 2.4, 6.0),
    ]
    view, light = alps(rng, eye, (0.75, 0.5, -0.35), peaks, 3.0)
    sky = cloudy(clear_sky(eye, "#d3e4ee", "#8fbfe2", "#4f93d0", "#2f70b8"), clouds(noise(rng, 1.8, low=2), eye, 0.35))
    picture = view.over(sky, haze(light, rgb("#a9c3de"), view.z, 80))
    picture = forest(
        picture, rng, [(490, 0.8, 32, 420, 0.30), (515, 0.5, 38, 400, 0.14), (538, 0.15, 44, 330, 0.02)], rgb("#a9c0d4")
    )
    shore = 545
    y, x = grid()
    below = np.maximum(y - shore, 0)
    swell, chop = noise(rng, 1.6, low=3, stretch=(1, 6)), noise(rng, 1.0, low=20, stretch=(1, 7))
    depth = np.log1p(below / 18) * 0.35  # rows crowd together towards the far shore, and so do the waves
    ripple = sample(swell, depth, x / SIDE) + 0.6 * sample(chop, depth * 1.5, x / SIDE)
    mirror = (shore - 1.05 * below + ripple * (2 + 0.07 * below)) / SIDE
    glance = 0.86 - 0.30 * below / SIDE
    water = mix(
        rgb("#12343f"),
        sample(blur(picture, 2), np.clip(mirror, 0.002, (shore - 3) / SIDE), (x + ripple * 2) / SIDE),
        glance,
    )
    picture = mix(picture, water, rise(shore - 2, shore + 2, y + 2 * ripple))
    bank = 800 + 34 * np.sin(np.arange(SIDE) / 210 + 0.8) + 16 * noise(rng, 2.0)[0]
    soil = ramp(np.clip(0.5 + 0.15 * chop, 0, 1), "#1c2411", "#2f3d1a", "#4a5a26")
    picture = mix(picture, soil, rise(-3, 3, y - bank[None]))
    return develop(grass(picture, rng, bank, count=17000, length=(26, 74), flowers=0.035), rng, 1.1)
