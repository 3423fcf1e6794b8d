"""The language of a text, and whether an answer keeps to its question's."""

import gzip
import json
from pathlib import Path

import pytest

from softlaunch.core.openings import Opening
from softlaunch.core.text_language import differ, language_of

TEXTS = [
    ("en", "How do I reset my password? I have tried to use the link that you sent me."),
    ("de", "Wie kann ich mein Passwort zurücksetzen? Der Link, den Sie mir geschickt haben, geht nicht."),
    ("fr", "Comment puis-je réinitialiser mon mot de passe ? Le lien que vous m'avez envoyé ne marche pas."),
    ("es", "Su pedido salió el lunes y llegará a su casa en tres días, y no hay que hacer nada más."),
    ("it", "Come posso cambiare la mia password? Il link che mi avete mandato non funziona più."),
    ("pt", "Como posso mudar a minha senha? O link que vocês me enviaram não funciona mais."),
    ("nl", "Hoe kan ik mijn wachtwoord wijzigen? De link die u mij hebt gestuurd werkt niet."),
    ("pl", "Jak mogę zmienić hasło? Link, który mi wysłaliście, nie działa na moim koncie."),
    ("sv", "Hur kan jag byta mitt lösenord? Länken som ni skickade till mig fungerar inte."),
    ("tr", "Şifremi nasıl değiştirebilirim? Bana gönderdiğiniz bağlantı çalışmıyor ve bu çok can sıkıcı bir durum."),
    ("vi", "Làm thế nào để tôi đổi mật khẩu? Liên kết mà bạn gửi cho tôi không hoạt động."),
    ("cyrillic", "Как мне изменить пароль? Ссылка, которую вы прислали, не работает."),
    ("ja", "パスワードを変更するにはどうすればいいですか。送られたリンクが開きません。"),
    ("zh", "我怎么修改密码？您发给我的链接打不开，请帮我看看。"),
    ("ko", "비밀번호를 어떻게 바꾸나요? 보내주신 링크가 열리지 않습니다."),
    ("arabic", "كيف يمكنني تغيير كلمة المرور؟ الرابط الذي أرسلتموه لا يعمل."),
    ("devanagari", "मैं अपना पासवर्ड कैसे बदलूँ? आपने जो लिंक भेजा वह काम नहीं करता।"),
]


@pytest.mark.parametrize(("language", "text"), TEXTS, ids=[language for language, _ in TEXTS])
def test_a_sentence_tells_its_language(language: str, text: str) -> None:
    """By its script, and in Latin letters by its small words."""
    assert language_of(Opening.of(text)) == language


@pytest.mark.parametrize(
    "text",
    ["", "Yes.", "42", "SELECT id FROM orders WHERE state = 'open'", "{'a': [1, 2, 3]}", "\ud800 \x00", "🎉🎉🎉"],
)
def test_nothing_is_said_of_what_is_too_short_or_no_prose(text: str) -> None:
    """Then an answer is never in another language."""
    assert language_of(Opening.of(text)) is None


def test_an_answer_in_another_language_is_told() -> None:
    """Each of these against each other, and none against itself."""
    openings = [Opening.of(text) for _, text in TEXTS]
    assert all(differ(one, other) == (one is not other) for one in openings for other in openings)


@pytest.mark.realdata
def test_recorded_answers_keep_to_their_questions_language(realdata: Path) -> None:
    """AlpacaEval is English; two of its tasks ask for German or French."""
    with gzip.open(realdata / "alpacaeval" / "gpt-3.5-turbo-0301.jsonl.gz", "rt") as lines:
        pairs = [json.loads(line) for line in lines]
    told = [differ(Opening.of(pair["instruction"]), Opening.of(pair["output"])) for pair in pairs]
    assert sum(told) <= 4
