"""What the shop says, in English and Korean.

The rule: both say the same, key by key; a page is written in the one that its reader chose, else in the one that the
browser prefers.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """One language of the page, and the name of the other one in that other one."""

    code: str
    other: str
    other_name: str
    words: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The words of a key with values filled in."""
        return self.words[key].format(**values)


ENGLISH = {
    "banner": "SANDBOX: invented coins. Nothing here is worth anything.",
    "title": "Sandbox shop",
    "what": "This shop calls the gateway as a payment service would. Freeze a wallet on the status page, and watch"
    " the orders go on.",
    "status_page": "Status page of the gateway",
    "figures": "Figures",
    "orders": "Orders taken",
    "paid": "Orders paid",
    "refused": "Orders without an address",
    "calls": "Calls to the gateway",
    "failed": "Calls failed",
    "slowest": "Slowest call",
    "slowest_lately": "Slowest of the last minute",
    "twice": "Addresses given twice",
    "balance": "Balance (BCH; + not confirmed)",
    "goods": "Buy something",
    "coffee": "Coffee",
    "book": "Book",
    "ticket": "Ticket",
    "bicycle": "Bicycle",
    "buy": "Buy",
    "customer": "Automatic customer",
    "customer_off": "Not here.",
    "customer_on": "Buys something every second and pays. Goes home after {left} more orders.",
    "let_in": "Let it in",
    "send_home": "Send it home",
    "newest": "Newest orders",
    "number": "No.",
    "item": "Item",
    "price": "Price (BCH)",
    "address": "Address",
    "state": "State",
    "took": "Address took",
    "paid_after": "Confirmed after",
    "payment": "Payment",
    "pay": "Pay",
    "pay_order": "Pay order {number}",
    "on_its_way": "sent",
    "state_asking": "asks for an address",
    "state_open": "waits for payment",
    "state_seen": "payment seen, not confirmed",
    "state_paid": "paid",
    "state_expired": "expired",
    "state_refused": "got no address",
    "no_orders": "Nobody has bought anything yet.",
    "failures": "Calls that failed last",
    "no_failures": "None.",
    "failure": "{method}, after {seconds} s, {ago} s ago",
    "busy": "{most} customers wait for an address already. Try again in a moment.",
    "back": "Back to the shop",
    "gone": "The shop does not answer. What stands here is old.",
    "seconds": "{value} s",
    "of_method": "{value} s ({method})",
}

KOREAN = {
    "banner": "SANDBOX (샌드박스): 가상의 코인입니다. 실제 가치는 전혀 없습니다.",
    "title": "샌드박스 상점",
    "what": "이 상점은 결제 서비스와 똑같이 게이트웨이를 호출합니다. 상태 페이지에서 지갑 하나를 멈추고,"
    " 주문이 계속되는 것을 지켜보십시오.",
    "status_page": "게이트웨이 상태 페이지",
    "figures": "집계",
    "orders": "받은 주문",
    "paid": "결제된 주문",
    "refused": "주소를 받지 못한 주문",
    "calls": "게이트웨이 호출",
    "failed": "실패한 호출",
    "slowest": "가장 느린 호출",
    "slowest_lately": "최근 1분 중 가장 느린 호출",
    "twice": "두 번 나온 주소",
    "balance": "잔액 (BCH; + 미확정)",
    "goods": "물건 사기",
    "coffee": "커피",
    "book": "책",
    "ticket": "입장권",
    "bicycle": "자전거",
    "buy": "구매",
    "customer": "자동 손님",
    "customer_off": "지금은 없습니다.",
    "customer_on": "매초 물건을 사고 값을 치릅니다. 주문 {left}건을 더 하고 돌아갑니다.",
    "let_in": "들이기",
    "send_home": "돌려보내기",
    "newest": "최근 주문",
    "number": "번호",
    "item": "물건",
    "price": "가격 (BCH)",
    "address": "주소",
    "state": "상태",
    "took": "주소까지 걸린 시간",
    "paid_after": "확정까지 걸린 시간",
    "payment": "결제",
    "pay": "결제",
    "pay_order": "주문 {number} 결제",
    "on_its_way": "보냄",
    "state_asking": "주소를 요청하는 중",
    "state_open": "결제를 기다리는 중",
    "state_seen": "결제 감지됨, 미확정",
    "state_paid": "결제됨",
    "state_expired": "만료됨",
    "state_refused": "주소를 받지 못함",
    "no_orders": "아직 아무도 사지 않았습니다.",
    "failures": "최근에 실패한 호출",
    "no_failures": "없습니다.",
    "failure": "{method}, {seconds}초 걸림, {ago}초 전",
    "busy": "이미 손님 {most}명이 주소를 기다리고 있습니다. 잠시 뒤에 다시 해 보십시오.",
    "back": "상점으로 돌아가기",
    "gone": "상점이 응답하지 않습니다. 여기 보이는 것은 지난 내용입니다.",
    "seconds": "{value}초",
    "of_method": "{value}초 ({method})",
}

LANGUAGES = {
    "en": Language("en", "ko", "한국어", ENGLISH),
    "ko": Language("ko", "en", "English", KOREAN),
}


def language_of(chosen: str | None, accepted: str) -> Language:
    """The language of a page.

    Args:
        chosen: what the reader chose, if anything.
        accepted: the header Accept-Language; of the two languages the one that is named first counts.
    """
    if chosen in LANGUAGES:
        return LANGUAGES[chosen]
    wanted = (one.split(";")[0].split("-")[0].strip().lower() for one in accepted.split(","))
    return next((LANGUAGES[code] for code in wanted if code in LANGUAGES), LANGUAGES["en"])
