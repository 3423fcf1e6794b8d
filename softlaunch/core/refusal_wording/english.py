"""How refusals are worded in English."""

from softlaunch.core.refusal_wording.wording import wording

_CANNOT = r"""(?:can(?:no|')?t|can\ not|could(?:\ not|n't)|will\ not|won't|would(?:\ not|n't)
    | can(?:no|')t\ and\ (?:will|do)\ not | must\ (?:refuse|decline)\ to | (?:refuse|decline)\ to
    | (?:am|'m)\ (?:\w+\ )?(?:unable|not\ (?:\w+\ )?(?:able|allowed|permitted|authori[sz]ed|programmed|designed|
        comfortable|willing|going|in\ a\ position|equipped|qualified|capable))(?:\ (?:to|with|of))?)"""
_HELP = r"""(?:be\ able\ to|help|assist|comply|provid|answer|discuss|support|shar[ei]|giv[ei]|do\ (?:that|this|so|it)|
    fulfil|engag|creat|writ[ei]|generat|respond|choos|pick|select|mak[ei]|offer|participat|condon|endors|express|recommend|
    advis|tell\ you|promot|encourag|speak|continue|complet|produc|proceed|judg|rank|rate\ |form\ |hold\ |
    take\ (?:a\ )?(?:side|position|stance|part)|have\ (?:personal|an?\ opinion|opinions|preferences|feelings)|
    facilitat|assum|predict|verif|translat|draft|craft|compos|list\ |teach|perform|access|browse|determine|role-?play|
    pretend|act\ as|confirm|speculate|guess|ethically|prove\ )"""
_I = r"i(?<!\wi)"  # a pattern that begins with a letter is searched for three times as fast as one with \b
ENGLISH = wording(
    "can't cannot cant won't wouldn't couldn't unable sorry afraid decline refuse apologies apologize apologise going "
    "something ai model subjective personal individual individual's depends depend vary varies answered rather prefer "
    "comfortable allowed permitted against condone endorse purpose violates appropriate acceptable ethical unethical "
    "accurate incorrect inaccurate unfair matter comply",
    begins=rf"""
    (?:\w+,?\ )?(?:{_CANNOT}|unable\ to|not\ able\ to)\ {_HELP}
    | (?:(?:i'm|i\ am)\ (?:\w+\ )?)?(?:sorry|afraid)\b[^.!?\n]{{0,12}}\b(?:i|
        this\ assistant)\ ?(?:\w+ly\ )?{_CANNOT}\b
    | (?:i'm|i\ am)\ (?:\w+\ )?sorry,?\ but\ (?:it\ is\ not|that\ request|this\ request|the\ request|your\ request)
    | (?:my\ apologies|i\ apologi[sz]e)\b[^.!?\n]{{0,12}}\bi\ ?(?:\w+ly\ )?{_CANNOT}\b
    | (?:your|this|that|the)\ (?:request|prompt|content)\ (?:violates|goes\ against|is\ not\ allowed|
        is\ inappropriate)
    """,
    within=rf"""
    {_I}\ ?(?:\w+ly\ |just\ )?{_CANNOT}\ (?:\w+ly\ )?{_HELP}
    | {_I}\ (?:must|have\ to|respectfully|politely)\ (?:\w+ly\ )?(?:decline|refuse)\b
    | {_I}(?:\ would|'d)\ (?:rather|prefer)\ not\b | {_I}\ prefer\ not\ to\b
    | {_I}\ (?:do\ not|don't)\ (?:feel\ comfortable|condone|endorse|engage|create|generate|provide)
    | not\ (?:something|a\ request|a\ topic|anything)\ (?:that\ )?i\b
    | we\ (?:can't|cannot|are\ unable\ to)\ (?:help|assist|comply|provide)\b
    | against\ (?:my\ (?:programming|guidelines|principles|values)|(?:the\ )?(?:ethical|moral|openai))
    """,
    begins_softly=r"""
    (?:this|that|it|the)\ (?:\w+\ ){0,4}?(?:a\ )?(?:subjective|matter\ of\ (?:personal\ )?opinion|
        personal\ question)\b
    | (?:this|that|it|the\ answer|the\ question)\b[^.!?\n]{0,40}\b(?:depend(?:s|ing)?\ (?:\w+\ )?on|based\ on|
        var(?:y|ies)\ )[^.!?\n]{0,40}\b(?:individual|person|personal|opinion|belief|perspective|respondent|experience)
    | (?:this|that|it|the)\ (?:\w+\ ){0,2}?(?:can(?:no|')?t|can\ not)\ be\ (?:\w+ly\ )?(?:answered|determined|
        provided)
    | (?:this|the)\ question\ (?:requires|is\ asking\ for)\ personal\b
    | (?:it\ is|it's)\ not\ (?:possible\ for\ me|appropriate|acceptable|ethical|okay)\ to\b
    | (?:it\ is|it's)\ (?:not\ (?:accurate|fair|right|appropriate)|incorrect|inaccurate|unfair|wrong)\ (?:(?:or|
        and)\ \w+\ )?
        to\ (?:say|claim|label|suggest|assume|generali[sz]e|deny)\b
    """,
    within_softly=rf"""
    as\ an?\ (?:\w+\ )?(?:ai|artificial\ intelligence|language\ model)\b[^.!?\n]{{0,60}}
        \b(?:i|it\ is)\ ?(?:{_CANNOT}|(?:(?:do\ not|don't)\ have|have\ no)\ (?:any\ )?(?:personal|opinion|opinions|
        political|beliefs|
        preferences|biases|the\ ability|access|real-time)|must\b|not\ (?:appropriate|ethical|possible|within)|
        (?:do\ not|don't)\ (?:hold|possess|support|express|take|condone))
    | i(?:\ am|'m)\ (?:just\ )?an\ ai\b[^.!?\n]{{0,40}}\band\ (?:can(?:no|')?t|don't|do\ not)\b
    | as\ an\ ai\b[^.!?\n]{{0,30}},\ i\ am\ committed\ to | my\ purpose\ is\ to\ assist
    | by\ an\ ai\b | as\ an\ ai,\ (?:do\ not|don't|can(?:no|')?t)\b
    | is\ (?:not|never)\ (?:\w+\ )?(?:ethical|appropriate\ to|acceptable\ to|justifiable)\b
    | {_I}\ (?:must|have\ to|need\ to)\ (?:\w+ly\ )?(?:emphasi[sz]e|clarify|stress)\b
    """,
    goes_on=r"""
    (?:however|but|nevertheless|that\ said),?\ (?:here|below|i\ (?:can|could|will|would)|based|a\ |some|many|
        from|in\ general|
        there\ (?:is|are)|for\ |as\ of|generally|using|one\ |if\ we|historically|considering|this\ is|the\ )
    | here\ (?:is|are)\b|here's\b | choose\ \(|possible\ answers?\b
    """,
)
