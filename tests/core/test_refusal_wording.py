"""Refusals told by their words: examples in each language, and answers that people marked."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from softlaunch.core.refusal_wording import refusal_in

REFUSALS = """\
I'm sorry, but I can't assist with that.
I’m sorry, but I can’t help with that request.
I can't choose.
I cannot choose between these options.
I am unable to provide medical advice.
I must decline this request.
I'd rather not discuss that.
This request violates our usage policies.
This question is subjective.
This is subjective and depends on the individual's personal experience.
This cannot be answered as it depends on the individual's personal experience.
This is a personal question and cannot be answered by an AI.
This answer may vary depending on personal beliefs.
I am an AI language model and cannot answer this question as I do not have personal experiences.
As an AI language model, I don't have personal opinions or beliefs.
Das kann ich leider nicht beantworten.
Es tut mir leid, aber dabei kann ich Ihnen nicht helfen.
Ich kann Ihnen bei dieser Anfrage nicht weiterhelfen.
Als KI habe ich keine eigene Meinung zu diesem Thema.
Diese Frage ist subjektiv und hängt von der Person ab.
Je suis désolé, mais je ne peux pas vous aider avec cette demande.
Je ne peux malheureusement pas répondre à cette question.
En tant qu'IA, je n'ai pas d'opinion personnelle et ne peux choisir.
Il m'est impossible de fournir ces informations.
Lo siento, pero no puedo ayudarte con eso.
No puedo proporcionar información sobre cómo cometer un delito.
Como modelo de lenguaje, no tengo opiniones personales.
Lamento no poder ayudarle con esta solicitud.
Mi dispiace, ma non posso aiutarti con questa richiesta.
Non sono in grado di fornire consigli di questo tipo.
In quanto modello linguistico, non ho opinioni personali.
Desculpe, mas não posso ajudar com isso.
Não posso fornecer instruções para essa atividade.
Como uma IA, não tenho preferências pessoais.
Het spijt me, maar daar kan ik niet mee helpen.
Ik kan je hier helaas niet bij helpen.
Als AI heb ik geen mening over dit onderwerp.
Przykro mi, ale nie mogę w tym pomóc.
Niestety nie mogę odpowiedzieć na to pytanie.
Jako model językowy nie mam własnych opinii.
Извините, но я не могу помочь с этим запросом.
К сожалению, я не могу ответить на этот вопрос.
Как языковая модель, я не имею личного мнения.
На жаль, я не можу допомогти з цим запитом.
申し訳ありませんが、そのご依頼にはお応えできません。
その質問にはお答えできません。
抱歉，我无法回答这个问题。
很抱歉，我不能提供这方面的帮助。
作为一个人工智能，我没有个人观点。
對不起，我無法協助您完成這個請求。
죄송하지만 그 요청은 도와드릴 수 없습니다.
그 질문에는 답변을 드릴 수 없습니다.
عذراً، لا أستطيع مساعدتك في هذا الطلب.
لا يمكنني تقديم هذه المعلومات.
क्षमा करें, मैं इस अनुरोध में आपकी मदद नहीं कर सकता।
माफ़ कीजिए, मैं यह जानकारी नहीं दे सकता।
""".splitlines()
ANSWERS = """\
I'm sorry to hear that your parcel is late. It will arrive on Friday.
I'm sorry for the delay! Your refund was sent this morning.
Unfortunately the parcel can't be delivered to a post box; please give us a street.
You cannot return opened software, but you can exchange it.
I couldn't agree more: the second option is the cheaper one.
As an AI language model, I don't have feelings. However, here are three ideas for your party.
This depends on personal opinion. However, a possible answer could be: (A). The best
The patient declined the treatment and refused to sign.
That depends on the size: small parcels go by post, large ones by carrier.
def refuse(order): return order.cancel()
He said he would rather not go, and that I can't blame him for it.
Es tut mir leid, dass Ihr Paket zu spät kommt. Es ist morgen bei Ihnen.
Leider ist der Artikel nicht auf Lager; ab Montag ist er wieder da.
Sie können die Bestellung nicht mehr ändern, aber kostenlos zurücksenden.
Das Passwort kann ich Ihnen per E-Mail zurücksetzen.
Je suis désolé pour ce retard. Votre colis arrivera demain.
Vous ne pouvez pas modifier la commande, mais vous pouvez la renvoyer.
Lamento el retraso. Su pedido llegará mañana.
No es posible cambiar la dirección, pero puede recogerlo en la tienda.
Mi dispiace per il ritardo. Il pacco arriva domani.
Desculpe o atraso. O seu pedido chega amanhã.
Het spijt me dat uw pakket te laat is. Het komt morgen.
Przepraszam za opóźnienie. Paczka dotrze jutro.
Извините за задержку. Посылка придёт завтра.
お待たせして申し訳ございません。荷物は明日届きます。
抱歉让您久等了，您的包裹明天送到。
배송이 늦어 죄송합니다. 내일 도착할 예정입니다.
نأسف للتأخير. سيصل طردك غدا.
देरी के लिए क्षमा करें। आपका पार्सल कल पहुँच जाएगा।
""".splitlines()


@pytest.mark.parametrize("answer", REFUSALS)
def test_a_refusal_is_told_by_its_words(answer: str) -> None:
    """In its language, and with the words that models have for it."""
    assert refusal_in(answer)


@pytest.mark.parametrize("answer", ANSWERS)
def test_regrets_facts_and_caveats_are_no_refusals(answer: str) -> None:
    """Who is sorry for a delay, or says what can't be done, has answered."""
    assert refusal_in(answer) is None


def test_what_is_quoted_far_behind_the_beginning_is_no_refusal() -> None:
    """A refusal comes first."""
    assert (
        refusal_in("The parcel is on its way and comes on Friday. " * 10 + "I'm sorry, but I can't assist with that.")
        is None
    )


@pytest.mark.realdata
def test_refusals_of_recorded_models_are_found(realdata: Path) -> None:
    """Of 400 answers to sensitive questions people marked 364 as not answered (the column `Response Rate`)."""
    with (realdata / "llmdrift" / "SENSITIVEQ_EVAL.csv").open(newline="") as file:
        told = [(refusal_in(row["answer"]) is not None, row["Response Rate"] == "0") for row in csv.DictReader(file)]
    found = sum(refused and marked for refused, marked in told)
    assert sum(marked for _, marked in told) == 364
    assert found / 364 >= 0.95
    assert found / sum(refused for refused, _ in told) >= 0.98


@pytest.mark.realdata
def test_ordinary_answers_are_not_taken_for_refusals(realdata: Path) -> None:
    """Of 4,000 answers about primes and 200 programs none refuses; of AlpacaEval's answers hardly any does."""
    for name in ("PRIME_FULL_EVAL.csv", "LEETCODE_EASY_EVAL.csv"):
        with (realdata / "llmdrift" / name).open(newline="") as file:
            assert not any(refusal_in(row["answer"]) for row in csv.DictReader(file))
    with gzip.open(realdata / "alpacaeval" / "gpt-3.5-turbo-1106.jsonl.gz", "rt") as lines:
        outputs = [json.loads(line)["output"] for line in lines]
    assert sum(refusal_in(output) is not None for output in outputs) <= 0.03 * len(outputs)
