"""Which language a text is written in, as far as a few hundred characters tell: by its script, then by its small words.

Pure, and as fast as a look into a dictionary for each word. Where a text is too short, mixed, or code, nothing is said.
"""

from collections.abc import Mapping, Sequence
from itertools import repeat

from softlaunch.core.openings import Opening

_LEAST_WORDS = 3
_CLEAR = 1.6
"""The best language must have so many times the small words of the next one."""
_LEAST_LETTERS = 8
_KANA_SHARE = 6
"""Japanese has at least one kana for so many Chinese characters."""
_SMALL_WORDS = {
    "en": "the of and to in is you that it for with are this was on be have not your can as or by from at we an "
    "will which what how my they has do if would there their here's i'm am per",
    "de": "der die und das ist nicht ein eine ich sie zu den mit von auf für im dem es des wie auch sich wir "
    "werden kann bei oder aus haben sind einen wird ihr ihre ihnen noch nach zur zum was mein am an kommt "
    "wurde bitte",
    "fr": "le la les des et est un une vous je que pour dans pas qui sur avec du au ce sont il plus par nous ne "
    "votre cette être ou mon comment aux vos c'est",
    "es": "el la los las de que en un una es por con para no se del su al como más lo está son tu este puede pero "
    "muy mi sus cómo esta qué usted",
    "it": "il la di che un una per non con sono è del della le gli in si come più da nel questo anche ma lo mio mi "
    "al dei alla puoi essere cosa delle suo sua ci ha casa tre avete vi",
    "pt": "os as de que em um uma é para com não se do da no na por mais como dos das você vocês seu sua está são "
    "ao mas isso pode meu minha me foi ou",
    "nl": "de het een en van is dat je niet in op te voor met zijn die aan er maar om ook als dit wij kunt hebben "
    "naar wat uw mijn bij kan hoe worden ik",
    "pl": "nie się na jest że jak ale po dla są przez od za czy może mogę tym ich być oraz jego mnie mi ten można "
    "mam który która które moim twoje co ze jako także lub",
    "sv": "och att det är på en som för av med den inte till jag har du ett om kan vi eller från var så men din "
    "hur mitt",
    "da": "og at det er på en som for af med den ikke til jeg har du et om kan vi eller fra hvordan så men din mit der",
    "tr": "bir ve bu için ile de da olarak çok daha ne gibi var değil olan ben siz mi en sonra kadar nasıl her ya",
    "id": "yang dan di untuk dengan tidak ini dari anda itu pada saya adalah dalam atau ke akan bisa dapat juga "
    "oleh apa",
    "vi": "là và của có không các cho được một trong với bạn để những này tôi khi người đã như về hoặc từ cách",
    "ro": "și de la în nu este că un cu pe pentru din sunt mai care sau dar cum fi ce al ai să meu vă",
    "cs": "je se na že jak pro ale jsou jako po za by nebo které co jsem může když mi byl lze není také podle ve si",
}
_LANGUAGES = tuple(_SMALL_WORDS)
_BITS = 8  # an opening has fewer than 256 words


def _packed() -> Mapping[bytes, int]:
    """Each small word with a one in the place of every language that has it: one sum counts all of them."""
    found: dict[bytes, int] = {}
    for place, words in enumerate(_SMALL_WORDS.values()):
        for word in words.split():
            found[word.encode()] = found.get(word.encode(), 0) | 1 << (_BITS * place)
    return found


_PACKED = _packed()
_CONTAINS = {language: frozenset(words.encode().split()).__contains__ for language, words in _SMALL_WORDS.items()}
_PLENTY = 4
"""Every so many words one is a small one where a language is plain; what languages share is rarer."""

_BLOCKS = {
    "cyrillic": [0x04, 0x05],
    "greek": [0x03, 0x1F],
    "arabic": [0x06, 0x07, 0xFB, 0xFC, 0xFD, 0xFE],
    "devanagari": [0x09],
    "thai": [0x0E],
    "ko": [0x11, *range(0xAC, 0xD8)],
    "kana": [0x30],
    "han": range(0x4E, 0xA0),
}
"""Scripts by the higher byte of their characters' numbers. A script stands for its languages."""
_SCRIPTS = tuple(_BLOCKS)
_OF_BLOCK = bytes(
    next((place for place, blocks in enumerate(_BLOCKS.values(), start=1) if high in blocks), 0) for high in range(256)
)
_MARKS = {script: bytes([place]) for place, script in enumerate(_SCRIPTS, start=1)}


def script_of(text: str) -> str | None:
    """The script other than the Latin one that most of a text's letters are in; `ja` and `zh` for the scripts of these.

    None for a text in Latin letters, or in hardly any.
    """
    if text.isascii():
        return None
    written = text.encode("utf-16-le", "surrogatepass")[1::2].translate(_OF_BLOCK)
    counts = {script: found for script, mark in _MARKS.items() if (found := written.count(mark))}
    kana, han = counts.pop("kana", 0), counts.pop("han", 0)
    if kana or han:
        counts["ja" if kana * _KANA_SHARE > han else "zh"] = kana + han
    if not counts:
        return None
    script = max(counts, key=counts.__getitem__)
    letters = sum(map(str.isalpha, text))
    return script if counts[script] >= _LEAST_LETTERS and 2 * counts[script] > letters else None


def language_of(opening: Opening) -> str | None:
    """The language of a text, as `en`, or its script where that has several; None where it can't be told."""
    script = script_of(opening.text)
    if script is not None:
        return script
    if _is_plainly("en", opening.words):
        return "en"
    counted = sum(map(_PACKED.get, opening.words, repeat(0)))
    counts = counted.to_bytes(len(_LANGUAGES), "little")
    best = max(counts)
    if best < _LEAST_WORDS:
        return None
    place = counts.index(best)
    second = max(counts[:place] + counts[place + 1 :])
    return _LANGUAGES[place] if best >= _CLEAR * second else None


def _is_plainly(language: str, words: Sequence[bytes]) -> bool:
    """Whether so many words are small ones of a language that the others needn't be counted."""
    return _PLENTY * sum(map(_CONTAINS[language], words)) >= len(words) > _LEAST_WORDS


def differ(question: Opening, answer: Opening) -> bool:
    """Whether an answer is clearly in another language than its question."""
    asked = language_of(question)
    if asked is None:
        return False
    if asked in _SMALL_WORDS and _is_plainly(asked, answer.words):
        return False
    answered = language_of(answer)
    return answered is not None and answered != asked
