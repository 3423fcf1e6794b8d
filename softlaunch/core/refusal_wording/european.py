"""How refusals are worded in other languages of Latin letters: de, fr, es, it, pt, nl, pl."""

from softlaunch.core.refusal_wording.wording import wording

EUROPEAN = (
    wording(
        "leider kann tut entschuldigung bedaure bedauere lage ki sprachmodell subjektiv darf werde möchte",
        begins=r"""
        (?:es\ )?tut\ mir\ (?:\w+\ )?leid,?\ (?:aber\ )?(?:ich|da(?:bei|mit|zu)|das|
            diese\w*)\b[^.!?\n]{0,50}\b(?:kann|darf|nicht|keine?n?)\b
        | (?:das|diese\ frage)\ ist\ (?:\w+\ )?(?:subjektiv|ansichtssache)
        """,
        within=r"""
        (?:kann|darf|werde|möchte)\ ich\b[^.!?\n]{0,60}\b(?:nicht|keine?n?)\b[^.!?\n]{0,40}\b(?:helfen|
            weiterhelfen|beantworten|
            unterstützen|geben|erstellen|dienen|teilen|schreiben|anbieten|bereitstellen|nachkommen|machen|tun)\b
        | ich\ (?:kann|darf|werde|möchte)\b[^.!?\n]{0,40}\b(?:nicht|keine?n?)\b[^.!?\n]{0,60}\b(?:helfen|
            beantworten|unterstützen|
            geben|erstellen|nachkommen|dienen|teilen|sagen|schreiben|wählen|entscheiden|anbieten|erfüllen|
            bereitstellen|
            diskutieren|verfassen|weiterhelfen)\b
        | ich\ bin\ (?:leider\ )?nicht\ (?:in\ der\ lage|befugt|berechtigt)
        | als\ (?:ki|künstliche\ intelligenz|sprachmodell)\b[^.!?\n]{0,60}\b(?:keine?n?|nicht)\b
        """,
    ),
    wording(
        "désolé désolée ne regrette navré suis l'impossibilité subjective m'est qu'ia",
        begins=r"""
        (?:je\ suis\ )?(?:désolée?|navrée?),?\ (?:mais\ )?(?:je\ ne|cela|ce\ n'est|en\ tant) |
             cette\ question\ est\ subjective
        """,
        within=r"""
        je\ ne\ (?:peux|puis|suis|saurais)\ (?:malheureusement\ )?pas\ (?:en\ mesure|autorisé|(?:vous\ |y\ |
            à\ )?(?:répond|aid|fourn|donn|
            assist|propos|satisf|partag|écri|gén|créer|choisi|discut|exprim|particip|faire\ cela|continu|trait|accéd))
        | je\ suis\ dans\ l'(?:impossibilité|incapacité) | il\ m'est\ impossible\ de
        | en\ tant\ qu'(?:ia|intelligence|assistant|modèle)\b[^.!?\n]{0,80}\b(?:ne\b|n'[^.!?\n]{1,12}\bpas)
        """,
    ),
    wording(
        "siento puedo lamento posible estoy modelo ia inteligencia subjetiva disculpa disculpe podría podré",
        begins=r"""
        (?:lo\ siento|lamento|disculp\w+),?\ (?:mucho,?\ )?(?:pero\ )?(?:no\ (?:pued|poder|me|estoy|
            es\ posible)|como\ )
        | (?:esta\ pregunta|esto)\ es\ (?:\w+\ )?subjetiv
        """,
        within=r"""
        no\ (?:puedo|podré|podría)\ (?:\w+mente\ )?(?:ayud|respond|proporcion|dar|ofrec|cumpl|asist|compart|
            escrib|gener|crear|elegir|
            realiz|hacer\ eso|participar|discut|opinar|hablar|facilit|continuar|complet|brind|revel|acced|complac)
        | no\ (?:estoy\ (?:en\ condiciones|autorizad|capacitad|programad)|me\ es\ posible)
        | como\ (?:ia|modelo\ de\ lenguaje|inteligencia\ artificial)\b[^.!?\n]{0,60}\bno\b
        """,
    ),
    wording(
        "dispiace posso spiacente grado modello ia soggettiva possibile consentito autorizzato autorizzata potrei",
        begins=r"""
        (?:mi\ dispiace|(?:sono\ )?spiacente),?\ (?:ma\ )?(?:non\ (?:posso|sono|mi)|come\ |in\ quanto)
        | (?:questa\ domanda|questo)\ è\ (?:\w+\ )?soggettiv
        """,
        within=r"""
        non\ (?:posso|potrei)\ (?:aiut|rispond|forni|dar|offr|soddisf|assist|condivid|scriv|gener|crear|scegli|
            esprim|partecip|discut|
            parlar|continu|complet|far\ |proced|esaudi)
        | non\ (?:sono\ (?:in\ grado|autorizzat|programmat)|mi\ è\ (?:possibile|consentito))
        | (?:come|in\ quanto)\ (?:ia|modello|intelligenza)\b[^.!?\n]{0,60}\bnon\b
        """,
    ),
    wording(
        "desculpe desculpa posso lamento consigo sinto estou modelo ia inteligência subjetiva possível poderei",
        begins=r"""
        (?:(?:peço\ )?desculp\w+|lamento|sinto\ muito),?\ (?:mas\ )?(?:não\ (?:posso|consigo|estou|é\ possível)|
            como\ )
        | (?:esta|essa)\ pergunta\ é\ (?:\w+\ )?subjetiv
        """,
        within=r"""
        não\ (?:posso|consigo|poderei|vou)\ (?:\w+mente\ )?(?:ajud|respond|fornec|dar\ |oferec|cumprir|atend|
            compartilh|escrev|ger(?:ar|e)|
            criar|escolh|particip|discut|opin|falar|continuar|complet|fazer\ isso|prestar|auxili)
        | não\ (?:estou\ (?:em\ condições|autorizad|apt)|me\ é\ (?:possível|permitido))
        | como\ (?:(?:uma\ )?ia|modelo\ de\ linguagem|uma\ inteligência)\b[^.!?\n]{0,60}\bnão\b
        """,
    ),
    wording(
        "helaas kan spijt sorry staat ai taalmodel subjectief mag",
        begins=r"""
        (?:het\ spijt\ me|sorry),?\ (?:maar\ )?(?:ik|dat|daar)\b[^.!?\n]{0,20}\b(?:kan|mag|ben|niet|geen)\b
        | (?:deze\ vraag|dit)\ is\ (?:\w+\ )?subjectief
        """,
        within=r"""
        (?:ik\ (?:kan|mag|wil|zal)|(?:kan|mag|wil|zal)\ ik)\b[^.!?\n]{0,40}\b(?:niet|
            geen)\b[^.!?\n]{0,60}\b(?:helpen|beantwoorden|geven|
            bijstaan|maken|voldoen|delen|schrijven|zeggen|kiezen|verstrekken|ondersteunen|bespreken)\b
        | ik\ ben\ (?:helaas\ )?niet\ in\ staat
        | als\ (?:ai|taalmodel|kunstmatige)\b[^.!?\n]{0,60}\b(?:geen|niet)\b
        """,
    ),
    wording(
        "przykro przepraszam mogę niestety stanie model ai subiektywne potrafię",
        begins=r"""
        (?:przykro\ mi|przepraszam|niestety),?\ (?:ale\ )?(?:jednak\ )?nie\ (?:mogę|jestem|potrafię)
        | to\ (?:pytanie\ jest|jest\ kwestia)\ subiektywn
        """,
        within=r"""
        nie\ (?:mogę|będę|potrafię)\ (?:\w+\ )?(?:pom[óo]|odpowie|udzieli|dostarcz|spełni|poda|napisa|stworzy|
            wygenerow|wybra|wyrazi|
            uczestnicz|kontynuow|zrobi|przedstawi|tego|w\ tym|udostępni)
        | nie\ jestem\ (?:w\ stanie|upoważnion)
        | jako\ (?:ai|model\ językowy|sztuczna)\b[^.!?\n]{0,60}\bnie\b
        """,
    ),
)
