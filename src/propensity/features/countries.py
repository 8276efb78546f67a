"""The only place that knows what countries are called: ISO 3166 codes, English names, names at home."""

from __future__ import annotations

import functools
import unicodedata

# Two letters: three letters; English name first; then other names in use.
_NAMES = """
AD: AND; Andorra
AE: ARE; United Arab Emirates; UAE; Emirates; الإمارات العربية المتحدة
AF: AFG; Afghanistan; افغانستان
AG: ATG; Antigua and Barbuda
AI: AIA; Anguilla
AL: ALB; Albania; Shqipëri
AM: ARM; Armenia; Հայաստան
AO: AGO; Angola
AQ: ATA; Antarctica
AR: ARG; Argentina
AS: ASM; American Samoa
AT: AUT; Austria; Österreich
AU: AUS; Australia
AW: ABW; Aruba
AX: ALA; Åland Islands; Åland
AZ: AZE; Azerbaijan; Azərbaycan; Азәрбајҹан
BA: BIH; Bosnia and Herzegovina; Bosnia; Босна и Херцеговина; Bosna i Hercegovina
BB: BRB; Barbados
BD: BGD; Bangladesh; বাংলাদেশ
BE: BEL; Belgium; Belgie; Belgique; Belgien
BF: BFA; Burkina Faso
BG: BGR; Bulgaria; България
BH: BHR; Bahrain; البحرين
BI: BDI; Burundi; Uburundi
BJ: BEN; Benin
BL: BLM; St. Barthélemy; Saint Barthélemy
BM: BMU; Bermuda
BN: BRN; Brunei; Brunei Darussalam; بروني
BO: BOL; Bolivia
BQ: BES; Caribbean Netherlands; Caribisch Nederland
BR: BRA; Brazil; Brasil
BS: BHS; Bahamas
BT: BTN; Bhutan; འབྲུག
BV: BVT; Bouvet Island
BW: BWA; Botswana
BY: BLR; Belarus; Беларусь
BZ: BLZ; Belize
CA: CAN; Canada
CC: CCK; Cocos (Keeling) Islands
CD: COD; Congo - Kinshasa; DR Congo; Democratic Republic of the Congo
CF: CAF; Central African Republic; Ködörösêse tî Bêafrîka; République centrafricaine
CG: COG; Congo - Brazzaville; Congo; Republic of the Congo
CH: CHE; Switzerland; Schweiz; Suisse; Svizzera; Schwiiz
CI: CIV; Côte d'Ivoire; Ivory Coast
CK: COK; Cook Islands
CL: CHL; Chile
CM: CMR; Cameroon; Cameroun
CN: CHN; China; 中国
CO: COL; Colombia
CR: CRI; Costa Rica
CU: CUB; Cuba
CV: CPV; Cape Verde; Cabo Verde
CW: CUW; Curaçao; Kòrsou
CX: CXR; Christmas Island
CY: CYP; Cyprus; Κύπρος; Kıbrıs
CZ: CZE; Czechia; Czech Republic; Česko
DE: DEU; Germany; Deutschland
DJ: DJI; Djibouti; جيبوتي
DK: DNK; Denmark; Danmark
DM: DMA; Dominica
DO: DOM; Dominican Republic; República Dominicana
DZ: DZA; Algeria; الجزائر; Algérie
EC: ECU; Ecuador
EE: EST; Estonia; Eesti
EG: EGY; Egypt; مصر
EH: ESH; Western Sahara; الصحراء الغربية
ER: ERI; Eritrea; ኤርትራ; إريتريا
ES: ESP; Spain; España
ET: ETH; Ethiopia; ኢትዮጵያ
FI: FIN; Finland; Suomi
FJ: FJI; Fiji
FK: FLK; Falkland Islands; Falkland Islands (Malvinas)
FM: FSM; Micronesia
FO: FRO; Faroe Islands; Føroyar
FR: FRA; France
GA: GAB; Gabon
GB: GBR; United Kingdom; UK; Great Britain; Britain; England; Scotland; Wales; Northern Ireland
GD: GRD; Grenada
GE: GEO; Georgia; საქართველო
GF: GUF; French Guiana; Guyane française
GG: GGY; Guernsey
GH: GHA; Ghana
GI: GIB; Gibraltar
GL: GRL; Greenland; Kalaallit Nunaat
GM: GMB; Gambia
GN: GIN; Guinea; Guinée
GP: GLP; Guadeloupe
GQ: GNQ; Equatorial Guinea; Guinea Ecuatorial; Guinée équatoriale; Guiné Equatorial
GR: GRC; Greece; Ελλάδα
GS: SGS; South Georgia and South Sandwich Islands; South Georgia and the South Sandwich Islands
GT: GTM; Guatemala
GU: GUM; Guam
GW: GNB; Guinea-Bissau; Guiné-Bissau
GY: GUY; Guyana
HK: HKG; Hong Kong SAR China; Hong Kong; 中國香港特別行政區
HM: HMD; Heard and McDonald Islands; Heard Island and McDonald Islands
HN: HND; Honduras
HR: HRV; Croatia; Hrvatska
HT: HTI; Haiti
HU: HUN; Hungary; Magyarország
ID: IDN; Indonesia
IE: IRL; Ireland; Republic of Ireland; Éire
IL: ISR; Israel; ישראל; إسرائيل
IM: IMN; Isle of Man; Ellan Vannin
IN: IND; India; भारत
IO: IOT; British Indian Ocean Territory
IQ: IRQ; Iraq; العراق
IR: IRN; Iran; ایران
IS: ISL; Iceland; Ísland
IT: ITA; Italy; Italia
JE: JEY; Jersey
JM: JAM; Jamaica
JO: JOR; Jordan; الأردن
JP: JPN; Japan; 日本
KE: KEN; Kenya
KG: KGZ; Kyrgyzstan; Кыргызстан; Киргизия
KH: KHM; Cambodia; កម្ពុជា
KI: KIR; Kiribati
KM: COM; Comoros; جزر القمر; Comores
KN: KNA; St. Kitts and Nevis; Saint Kitts and Nevis
KP: PRK; North Korea; 북한
KR: KOR; South Korea; Korea; 대한민국
KW: KWT; Kuwait; الكويت
KY: CYM; Cayman Islands
KZ: KAZ; Kazakhstan; Казахстан; Қазақстан
LA: LAO; Laos; Lao People's Democratic Republic; ລາວ
LB: LBN; Lebanon; لبنان
LC: LCA; St. Lucia; Saint Lucia
LI: LIE; Liechtenstein; Liächteschtäi
LK: LKA; Sri Lanka; ශ්‍රී ලංකාව; இலங்கை
LR: LBR; Liberia
LS: LSO; Lesotho
LT: LTU; Lithuania; Lietuva
LU: LUX; Luxembourg; Lëtzebuerg; Luxemburg
LV: LVA; Latvia; Latvija
LY: LBY; Libya; ليبيا
MA: MAR; Morocco; المغرب; Maroc; Meṛṛuk
MC: MCO; Monaco
MD: MDA; Moldova; Republica Moldova
ME: MNE; Montenegro; Crna Gora
MF: MAF; St. Martin; Saint Martin (French part); Saint-Martin
MG: MDG; Madagascar; Madagasikara
MH: MHL; Marshall Islands
MK: MKD; North Macedonia; Macedonia; Северна Македонија
ML: MLI; Mali
MM: MMR; Myanmar (Burma); Myanmar; Burma; မြန်မာ
MN: MNG; Mongolia; Монгол
MO: MAC; Macao SAR China; Macao; Macau; 中國澳門特別行政區
MP: MNP; Northern Mariana Islands
MQ: MTQ; Martinique
MR: MRT; Mauritania; موريتانيا
MS: MSR; Montserrat
MT: MLT; Malta
MU: MUS; Mauritius; Maurice
MV: MDV; Maldives; ދިވެހި ރާއްޖެ
MW: MWI; Malawi
MX: MEX; Mexico
MY: MYS; Malaysia
MZ: MOZ; Mozambique; Moçambique
NA: NAM; Namibia
NC: NCL; New Caledonia; Nouvelle-Calédonie
NE: NER; Niger
NF: NFK; Norfolk Island
NG: NGA; Nigeria; Nàìjíríà
NI: NIC; Nicaragua
NL: NLD; Netherlands; Holland; The Netherlands; Nederland
NO: NOR; Norway; Norge; Noreg
NP: NPL; Nepal; नेपाल
NR: NRU; Nauru
NU: NIU; Niue
NZ: NZL; New Zealand; Aotearoa
OM: OMN; Oman; عُمان
PA: PAN; Panama
PE: PER; Peru
PF: PYF; French Polynesia; Polynésie française
PG: PNG; Papua New Guinea; Papua Niugini
PH: PHL; Philippines; Pilipinas
PK: PAK; Pakistan; پاکستان
PL: POL; Poland; Polska
PM: SPM; St. Pierre and Miquelon; Saint Pierre and Miquelon; Saint-Pierre-et-Miquelon
PN: PCN; Pitcairn Islands; Pitcairn
PR: PRI; Puerto Rico
PS: PSE; Palestinian Territories; Palestine; الأراضي الفلسطينية
PT: PRT; Portugal
PW: PLW; Palau
PY: PRY; Paraguay; Paraguai
QA: QAT; Qatar; قطر
RE: REU; Réunion; La Réunion
RO: ROU; Romania
RS: SRB; Serbia; Srbija; Србија
RU: RUS; Russia; Russian Federation; Россия
RW: RWA; Rwanda; U Rwanda
SA: SAU; Saudi Arabia; المملكة العربية السعودية
SB: SLB; Solomon Islands
SC: SYC; Seychelles
SD: SDN; Sudan; السودان
SE: SWE; Sweden; Sverige
SG: SGP; Singapore; 新加坡; Singapura; சிங்கப்பூர்
SH: SHN; St. Helena
SI: SVN; Slovenia; Slovenija
SJ: SJM; Svalbard and Jan Mayen; Svalbard og Jan Mayen
SK: SVK; Slovakia; Slovensko
SL: SLE; Sierra Leone
SM: SMR; San Marino
SN: SEN; Senegal; Senegaal
SO: SOM; Somalia; Soomaaliya; الصومال
SR: SUR; Suriname
SS: SSD; South Sudan
ST: STP; São Tomé and Príncipe; São Tomé e Príncipe
SV: SLV; El Salvador
SX: SXM; Sint Maarten; Sint Maarten (Dutch part)
SY: SYR; Syria; Syrian Arab Republic; سوريا
SZ: SWZ; Eswatini; Swaziland
TC: TCA; Turks and Caicos Islands
TD: TCD; Chad; تشاد; Tchad
TF: ATF; French Southern Territories
TG: TGO; Togo
TH: THA; Thailand; ไทย
TJ: TJK; Tajikistan; Тоҷикистон
TK: TKL; Tokelau
TL: TLS; Timor-Leste; East Timor
TM: TKM; Turkmenistan
TN: TUN; Tunisia; تونس; Tunisie
TO: TON; Tonga
TR: TUR; Türkiye; Turkey
TT: TTO; Trinidad and Tobago; Trinidad
TV: TUV; Tuvalu
TW: TWN; Taiwan; 台灣
TZ: TZA; Tanzania
UA: UKR; Ukraine; Україна; Украина
UG: UGA; Uganda
UM: UMI; U.S. Outlying Islands; United States Minor Outlying Islands
US: USA; United States; United States of America; America
UY: URY; Uruguay
UZ: UZB; Uzbekistan; Oʻzbekiston; Ўзбекистон
VA: VAT; Vatican City; Holy See (Vatican City State); Vatican; Città del Vaticano
VC: VCT; St. Vincent and Grenadines; Saint Vincent and the Grenadines
VE: VEN; Venezuela
VG: VGB; British Virgin Islands
VI: VIR; U.S. Virgin Islands
VN: VNM; Vietnam
VU: VUT; Vanuatu
WF: WLF; Wallis and Futuna; Wallis-et-Futuna
WS: WSM; Samoa
YE: YEM; Yemen; اليمن
YT: MYT; Mayotte
ZA: ZAF; South Africa
ZM: ZMB; Zambia
ZW: ZWE; Zimbabwe
"""


def fold(text: str) -> str:
    """Fold what people vary in a country's name: case, accents, spaces, points, the sign for "and".

    Examples
    --------
    >>> fold("U.S.A."), fold("\u00d6sterreich")
    ('usa', 'osterreich')
    """
    plain = unicodedata.normalize("NFKD", text.casefold().replace("&", "and"))
    return "".join(character for character in plain if character.isalnum())


@functools.cache
def _codes() -> dict[str, str]:
    codes: dict[str, str] = {}
    for line in _NAMES.strip().splitlines():
        code, _, names = line.partition(": ")
        codes |= dict.fromkeys([fold(code), *map(fold, names.split("; "))], code)
    return codes


def read_country(text: str) -> str:
    """Read a country as its ISO 3166 code of two letters; ``other`` where no country is called so.

    One country is written in a dozen ways that each teach a little; together they teach what they all mean.

    Examples
    --------
    >>> [read_country(name) for name in ("Deutschland", "germany", "DEU", "Atlantis")]
    ['DE', 'DE', 'DE', 'other']
    """
    return _codes().get(fold(text), "other")
