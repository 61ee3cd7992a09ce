"""Multi30k: descriptions of photographs in English, German and French."""

import gzip
from collections.abc import Mapping, Sequence

from keras_attn.data.fetch import fetch

ADDRESS = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"

# SHA-256 of the uncompressed content: gzip files of equal content may differ.
MANIFEST = {
    "train.de.gz": "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
    "train.en.gz": "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
    "train.fr.gz": "5925a3c18f1587b6b54b87743106e6e8ab93618edb6f65d19eac0621f853a10d",
    "val.de.gz": "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
    "val.en.gz": "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
    "val.fr.gz": "5304e444d842e962b2dda4d816b70b22a1765b15401642b7ca37a67477e708dc",
    "test_2016_flickr.de.gz": (
        "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16"
    ),
    "test_2016_flickr.en.gz": (
        "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182"
    ),
    "test_2016_flickr.fr.gz": (
        "cb3160d69b002bb638e66cc7612fcd56cb0af82eadc9c142dedc438afb885ef6"
    ),
    "test_2017_flickr.de.gz": (
        "c3078bc3b36808bf9d20eb2347ed6137016179ef59ec0d2b9b8ecc3fb2880081"
    ),
    "test_2017_flickr.en.gz": (
        "ce1450ddc5ab0834502579d77a170849952e15a2938b34cc503bdc25ebb4fb98"
    ),
    "test_2017_flickr.fr.gz": (
        "6f3764e31dac41e9455e612958bcfd4e877c5e15cd66df2c2b2be6d9bd83e5b6"
    ),
    "test_2018_flickr.de.gz": (
        "39fcc8b3331d76fb42d648d019c6898b0d5e58baac87bc2a0bb93f44ec8db207"
    ),
    "test_2018_flickr.en.gz": (
        "4e585c2dd525911a6ea7730e9d0b516239af3f1b1ffae6a2130223cfb639f25e"
    ),
    "test_2018_flickr.fr.gz": (
        "234b4a887da0da4801a3e2c6f21336231ff7dd46daeb80cfa1b551c8bbb78239"
    ),
}


def load(
    split: str,
    languages: Sequence[str] = ("en", "de"),
    manifest: Mapping[str, str] = MANIFEST,
) -> tuple[list[str], ...]:
    """Loads the sentences of one split, aligned across languages.

    The text is that of the original files, cased and not tokenised; a line is a
    sentence. The splits are `"train"` (29,000 sentences), `"val"` (1,014),
    `"test_2016_flickr"` (1,000), `"test_2017_flickr"` (1,000) and
    `"test_2018_flickr"` (1,071), in `"en"`, `"de"` and `"fr"`.

    The data set is published without a licence file; its sentences translate
    captions of Flickr30k. Use it for research.

    Args:
        split: String, one of the splits above.
        languages: Strings, the languages to load.
        manifest: Mapping of file names to the SHA-256 of their uncompressed
            content. The default is that of the public files.

    Returns:
        A tuple of one list of strings for each language, all of equal length.

    Raises:
        ValueError: If there is no such split or language.
        FetchError: If a file cannot be had or is not the expected one.

    Example:

    ```python
    english, german = multi30k.load("train")
    ```

    Reference:

    - [Elliott et al., 2016](https://arxiv.org/abs/1605.00459)
    """
    names = [f"{split}.{language}.gz" for language in languages]
    unknown = [name for name in names if name not in manifest]
    if unknown or not names:
        known = ", ".join(sorted(name.removesuffix(".gz") for name in manifest))
        raise ValueError(
            f"`split` and `languages` must name files of the data set: {known}. "
            f"Received: split={split!r}, languages={languages!r}"
        )
    texts = tuple(_read(name, manifest[name]) for name in names)
    sizes = [len(sentences) for sentences in texts]
    if len(set(sizes)) > 1:
        raise ValueError(f"The files {names} are not aligned: they have {sizes} lines.")
    return texts


def _read(name: str, sha256: str) -> list[str]:
    path = fetch(f"multi30k/{name}", ADDRESS + name, sha256, uncompressed=True)
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return [line.removesuffix("\n") for line in file]
