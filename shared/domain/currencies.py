"""Active ISO 4217 currencies and their exponents.

Source: ISO 4217 list one; a test compares it with the `iso4217` package. Funds codes, precious
metals and test codes are left out: no card is charged in them.
"""

from collections.abc import Mapping

_CODES: Mapping[int, str] = {
    0: """
        bif clp djf gnf isk jpy kmf krw pyg rwf ugx vnd vuv xaf xof xpf
    """,
    2: """
        aed afn all amd aoa ars aud awg azn bam bbd bdt bmd bnd bob brl bsd btn bwp byn bzd cad
        cdf chf cny cop crc cup cve czk dkk dop dzd egp ern etb eur fjd fkp gbp gel ghs gip gmd
        gtq gyd hkd hnl htg huf idr ils inr irr jmd kes kgs khr kpw kyd kzt lak lbp lkr lrd lsl
        mad mdl mga mkd mmk mnt mop mru mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen
        pgk php pkr pln qar ron rsd rub sar sbd scr sdg sek sgd shp sle sos srd ssp stn svc syp
        szl thb tjs tmt top try ttd twd tzs uah usd uyu uzs ved ves wst xad xcd xcg yer zar zmw
        zwg
    """,
    3: """
        bhd iqd jod kwd lyd omr tnd
    """,
}

EXPONENTS: Mapping[str, int] = {
    code: exponent for exponent, codes in _CODES.items() for code in codes.split()
}
