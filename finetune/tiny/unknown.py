"""Pictures that are none of what the model knows: noise, clouds, mosaics, scenery, parts of photographs."""

from __future__ import annotations

from random import Random

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from finetune.tiny.canvas import Canvas
from finetune.tiny.packed import Supplies

# Longest side that scenery is drawn in, in pixels.
COARSE = 320


def fill(canvas: Canvas, rng: Random, supplies: Supplies) -> None:
    """Cover a canvas with such a picture."""
    noise = np.random.default_rng(rng.getrandbits(32))
    size = canvas.image.size
    kind = rng.random()
    if kind < 0.45 and supplies.photographs:
        made = _part_of(rng.choice(supplies.photographs), size, rng)
    elif kind < 0.7:
        made = _scenery(noise, size, rng)
    elif kind < 0.78:
        made = _noise(noise, size, rng)
    elif kind < 0.94:
        made = _clouds_only(noise, size, rng)
    else:
        made = _mosaic(noise, size, rng)
    canvas.image.paste(made)


def _part_of(photograph: np.ndarray, size: tuple[int, int], rng: Random) -> Image.Image:
    """A part of a photograph in other light, perhaps mirrored, in the proportions of the canvas."""
    height, width = photograph.shape[:2]
    most = min(width / size[0], height / size[1])
    # A part of a fifth of the side may be a mere blur: mostly larger ones.
    share = most * max(rng.uniform(0.2, 1), rng.uniform(0.2, 1))
    across, down = max(1, int(size[0] * share)), max(1, int(size[1] * share))
    left, top = rng.randint(0, width - across), rng.randint(0, height - down)
    part = Image.fromarray(photograph[top : top + down, left : left + across])
    part = part.resize(size, rng.choice((Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)))
    if rng.random() < 0.5:
        part = ImageOps.mirror(part)
    for change, least in ((ImageEnhance.Brightness, 0.6), (ImageEnhance.Contrast, 0.6), (ImageEnhance.Color, 0.2)):
        part = change(part).enhance(rng.uniform(least, 1.5))
    if rng.random() < 0.3:
        red, green, blue = part.split()
        part = Image.merge("RGB", rng.sample((red, green, blue), 3))
    return part


def _scenery(noise: np.random.Generator, size: tuple[int, int], rng: Random) -> Image.Image:
    """Regions behind each other, of a colour, a texture and a light each: ridges, patches, round things."""
    # Drawn small: the textures of a dozen surfaces take their time.
    ratio = min(1.0, COARSE / max(size))
    small = width, height = max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))
    down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    pixels = _shaded(noise, small, rng)
    for layer in range(rng.randint(2, 8)):
        kind = rng.random()
        if kind < 0.45:
            edge = _clouds(noise, 1, width, rng.uniform(1.0, 1.8))[0, :, 0] * rng.uniform(0.02, 0.15)
            inside = down > rng.uniform(0.1, 0.5) + 0.1 * layer + edge
        elif kind < 0.75:
            inside = _clouds(noise, height, width, rng.uniform(1.4, 2.2))[..., 0] > rng.uniform(0.3, 1.8)
        else:
            x, y, wide, high = rng.random(), rng.random(), rng.uniform(0.05, 0.4), rng.uniform(0.05, 0.4)
            bumps = _clouds(noise, height, width, 1.8)[..., 1] * rng.uniform(0, 0.3)
            inside = ((across - x) / wide) ** 2 + ((down - y) / high) ** 2 + bumps < 1
        pixels = np.where(inside[..., None], _shaded(noise, small, rng), pixels)
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2))).resize(size, Image.Resampling.BICUBIC)
    grained = np.asarray(image) + noise.normal(0, rng.uniform(0, 8), (size[1], size[0], 1))
    return Image.fromarray(grained.clip(0, 255).astype(np.uint8))


def _shaded(noise: np.random.Generator, size: tuple[int, int], rng: Random) -> np.ndarray:
    """A surface: one colour, lit from a side, with a grain of some coarseness; float (height, width, 3)."""
    width, height = size
    down, across = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    light = down * rng.uniform(-40, 40) + across * rng.uniform(-40, 40)
    grain = _clouds(noise, height, width, rng.uniform(0.3, 1.6)) @ (np.full((3, 3), 0.3) + noise.random((3, 3)) * 0.2)
    return noise.uniform(15, 230, 3) + light[..., None] + grain * rng.uniform(2, 35)


def _noise(noise: np.random.Generator, size: tuple[int, int], rng: Random) -> Image.Image:
    """Random pixels, fine or coarse, coloured or grey."""
    grain = rng.choice((1, 1, 2, 3, 4))
    shape = (size[1] // grain + 1, size[0] // grain + 1, 3 if rng.random() < 0.6 else 1)
    values = np.broadcast_to(noise.integers(0, 256, shape).astype(np.uint8), (*shape[:2], 3))
    image = Image.fromarray(np.ascontiguousarray(values))
    return image.resize((image.width * grain, image.height * grain), Image.Resampling.NEAREST).crop((0, 0, *size))


def _clouds_only(noise: np.random.Generator, size: tuple[int, int], rng: Random) -> Image.Image:
    """Clouds of many scales in mixed colours."""
    pixels = _clouds(noise, size[1], size[0], rng.uniform(0.8, 2.2))
    mixing = np.eye(3) * 0.6 + noise.random((3, 3)) * 0.7
    pixels = (pixels @ mixing) * rng.uniform(30, 75) + noise.integers(60, 190, 3)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _mosaic(noise: np.random.Generator, size: tuple[int, int], rng: Random) -> Image.Image:
    """A few random colours in a grid, with hard or soft borders."""
    cells = Image.fromarray(noise.integers(0, 256, (rng.randint(6, 16), rng.randint(6, 16), 3)).astype(np.uint8))
    pixels = np.asarray(cells.resize(size, rng.choice((Image.Resampling.BICUBIC, Image.Resampling.NEAREST))))
    pixels = pixels + noise.normal(0, 6, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _clouds(noise: np.random.Generator, height: int, width: int, slope: float) -> np.ndarray:
    """Noise whose amplitude falls with frequency as in photographs: (height, width, 3), deviation about 1."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    amplitude = 1 / np.maximum(np.hypot(down, across), 1 / max(height, width)) ** slope
    spectrum = amplitude[..., None] * np.exp(2j * np.pi * noise.random((*amplitude.shape, 3)))
    spectrum[0, 0] = 0
    waves = np.fft.irfft2(spectrum, (height, width), axes=(0, 1))
    return waves / max(waves.std(), 1e-9)
