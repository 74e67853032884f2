"""Names for the made-up data: countries, and names of people as they are written there."""

from __future__ import annotations

COUNTRIES = (
    ("JP", "Japan", "日本", "Asia", 10.0),
    ("DE", "Germany", "Deutschland", "Europe", 19.0),
    ("US", "United States", "United States", "America", 7.5),
    ("BR", "Brazil", "Brasil", "America", 17.0),
    ("FR", "France", "France", "Europe", 20.0),
    ("IN", "India", "भारत", "Asia", 18.0),
    ("KR", "South Korea", "대한민국", "Asia", 10.0),
    ("ES", "Spain", "España", "Europe", 21.0),
    ("GR", "Greece", "Ελλάδα", "Europe", 24.0),
    ("UA", "Ukraine", "Україна", "Europe", 20.0),
    ("TR", "Türkiye", "Türkiye", "Asia", 20.0),
    ("MX", "Mexico", "México", "America", 16.0),
    ("PL", "Poland", "Polska", "Europe", 23.0),
    ("EG", "Egypt", "مصر", "Africa", 14.0),
    ("CI", "Côte d’Ivoire", "Côte d’Ivoire", "Africa", 18.0),
    ("VN", "Viet Nam", "Việt Nam", "Asia", 10.0),
    ("NO", "Norway", "Norge", "Europe", 25.0),
    ("KE", "Kenya", "Kenya", "Africa", 16.0),
    ("IS", "Iceland", "Ísland", "Europe", 24.0),
    ("NZ", "New Zealand", "Aotearoa", "Oceania", 15.0),
)
"""Code, English name, own name, region and tax in percent; the taxes are made up."""

FAMILY_FIRST = frozenset({"JP", "KR", "VN"})

PEOPLE = {
    "JP": (
        ("陽菜", "蓮", "さくら", "大輔", "美咲", "健太", "ケンジ", "結衣"),
        ("佐藤", "鈴木", "髙橋", "田中", "渡邊", "小林", "斉藤", "山田"),
    ),
    "DE": (
        ("Jürgen", "Anke", "Björn", "Käthe", "Lukas", "Sönke"),
        ("Müller", "Groß", "Schäfer", "Weiß", "Vogel", "Köhler"),
    ),
    "BR": (
        ("João", "Conceição", "Antônio", "Luíza", "Inês", "Caio"),
        ("da Silva", "Gonçalves", "Araújo", "Magalhães", "Souza"),
    ),
    "FR": (
        ("Zoé", "François", "Anaïs", "Léa", "Noël", "Hélène"),
        ("Lefèvre", "Dubois", "d’Aubigné", "Garçon", "Benoît"),
    ),
    "IN": (("आर्या", "Priya", "रोहन", "Ananya", "Vikram"), ("शर्मा", "Iyer", "Singh", "Gupta")),
    "KR": (("민준", "서연", "지우", "하은"), ("김", "이", "박", "최")),
    "ES": (("José", "Begoña", "Íñigo", "Nuria"), ("Núñez", "García", "Peña", "Ibáñez")),
    "GR": (("Ελένη", "Γιώργος", "Σοφία"), ("Παπαδόπουλος", "Νικολάου", "Γεωργίου")),
    "UA": (("Олена", "Андрій", "Їжак"), ("Шевченко", "Коваль", "Мельник")),
    "TR": (("Işıl", "İbrahim", "Çağla", "Oğuz"), ("Yıldız", "Şahin", "Öztürk")),
    "PL": (("Łukasz", "Małgorzata", "Świętosława"), ("Wójcik", "Dąbrowski", "Żak")),
    "EG": (("محمد", "ليلى", "يوسف"), ("حسن", "السيد", "إبراهيم")),
    "VN": (("Thảo", "Minh", "Đức"), ("Nguyễn", "Trần", "Phạm")),
    "NO": (("Åse", "Øyvind", "Bjørg"), ("Bråten", "Sæther", "Lund")),
    "IS": (("Þóra", "Ægir", "Sigríður"), ("Jónsdóttir", "Guðmundsson")),
}
"""Given names and family names by country; a country without an entry uses `ANYWHERE`."""

ANYWHERE = (
    ("Amara", "Noah", "Mia", "Kofi", "Chloé", "Diego", "Grace", "Sam", "Zuri", "Ana"),
    ("O’Brien", "Smith", "Kamau", "Hernández", "Lee", "Diallo", "Walker", "van Dyk"),
)

SECTIONS = ("items", "blog", "docs", "events", "ja/記事", "es/artículos")
FIRST_PAGES = ("/", "/search", "/login", "/items", "/help", "/ja/ヘルプ")
