"""The shop's page as HTML: one page, whose live part is also served alone.

The rule: all that did not come from this file goes through `_text`, which escapes it; there is no script and no style
in the page itself, and nothing in it is loaded from another host.
"""

from html import escape

from gateway.sandbox.shop.books import GOODS, Books, Order, State
from gateway.sandbox.shop.business import MOST_AT_ONCE
from gateway.sandbox.shop.words import Language

SHOWN = 15
"""Orders on the page."""

REFRESH = 3
"""Seconds after which a page without script is loaded again."""

_COLUMNS = ("number", "item", "price", "address", "state", "took", "paid_after", "payment")


def whole(language: Language, books: Books, left: int, status: str, now: float) -> str:
    """The page.

    Args:
        language: that it is written in.
        books: what it shows.
        left: orders that the automatic customer will still give, 0 while it is not here.
        status: URL of the gateway's status page, "" where there is none.
        now: on the clock of the books.
    """
    other = language.other
    link = f'<a href="{_text(status)}">{_text(language("status_page"))}</a>' if status else ""
    return f"""<!DOCTYPE html>
<html lang="{language.code}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>SANDBOX - {_text(language("title"))}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/shop.css">
<noscript><meta http-equiv="refresh" content="{REFRESH}"></noscript>
<script src="/shop.js" defer></script>
</head>
<body>
<header>
<p class="banner">{_text(language("banner"))}</p>
<div class="head">
<h1>{_text(language("title"))}</h1>
<nav>{link}
<a href="/?lang={other}" hreflang="{other}" lang="{other}">{_text(language.other_name)}</a></nav>
</div>
</header>
<main>
<p>{_text(language("what"))}</p>
<p id="gone" role="alert" data-words="{_text(language("gone"))}"></p>
<section aria-labelledby="goods">
<h2 id="goods">{_text(language("goods"))}</h2>
<ul class="goods">
{"".join(_item(language, item.name, item.price) for item in GOODS)}</ul>
</section>
<div id="live">
{live(language, books, left, now)}
</div>
</main>
</body>
</html>
"""


def live(language: Language, books: Books, left: int, now: float) -> str:
    """What changes by itself."""
    return f"""{_customer(language, left)}
<section aria-labelledby="figures">
<h2 id="figures">{_text(language("figures"))}</h2>
<dl class="figures">
{_figures(language, books, now)}</dl>
</section>
<h2 id="newest">{_text(language("newest"))}</h2>
{_orders(language, books)}
<section aria-labelledby="failures">
<h2 id="failures">{_text(language("failures"))}</h2>
{_failures(language, books, now)}
</section>"""


def busy(language: Language) -> str:
    """What is said to a customer who finds the shop full."""
    return f"""<!DOCTYPE html>
<html lang="{language.code}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>SANDBOX - {_text(language("title"))}</title>
<link rel="stylesheet" href="/shop.css">
</head>
<body>
<header><p class="banner">{_text(language("banner"))}</p></header>
<main>
<h1>{_text(language("title"))}</h1>
<p>{_text(language("busy", most=MOST_AT_ONCE))}</p>
<p><a href="/">{_text(language("back"))}</a></p>
</main>
</body>
</html>
"""


def _item(language: Language, name: str, price: str) -> str:
    label = f"{language(name)} {price} BCH"
    return (
        f'<li><form method="post" action="/buy"><input type="hidden" name="item" value="{_text(name)}">'
        f'<button id="buy-{_text(name)}" aria-label="{_text(language("buy"))}: {_text(label)}">'
        f"{_text(language(name))}<small>{_text(price)} BCH</small></button></form></li>\n"
    )


def _customer(language: Language, left: int) -> str:
    said = language("customer_on", left=left) if left else language("customer_off")
    return f"""<section aria-labelledby="customer">
<h2 id="customer">{_text(language("customer"))}</h2>
<form method="post" action="/customer" class="line"><input type="hidden" name="on" value="{0 if left else 1}">
<button id="let-customer">{_text(language("send_home" if left else "let_in"))}</button> <span>{_text(said)}</span>
</form>
</section>"""


def _figures(language: Language, books: Books, now: float) -> str:
    slowest = books.slowest
    lately = books.slowest_lately(now)
    figures = {
        "orders": str(books.taken),
        "paid": str(books.paid),
        "twice": str(books.twice),
        "refused": str(books.refused),
        "calls": str(books.calls),
        "failed": str(books.failed),
        "slowest": language("of_method", value=_seconds(slowest.seconds), method=slowest.method) if slowest else "-",
        "slowest_lately": language("seconds", value=_seconds(lately)),
        "balance": books.balance or "-",
    }
    bad = {name for name in ("twice", "refused", "failed") if figures[name] != "0"}
    return "".join(
        f"<div{' class=bad' if name in bad else ''}><dt>{_text(language(name))}</dt>"
        f'<dd data-figure="{name}">{_text(value)}{" !" if name in bad else ""}</dd></div>\n'
        for name, value in figures.items()
    )


def _orders(language: Language, books: Books) -> str:
    newest = books.newest(SHOWN)
    if not newest:
        return f"<p>{_text(language('no_orders'))}</p>"
    head = "".join(f'<th scope="col">{_text(language(name))}</th>' for name in _COLUMNS)
    rows = "".join(_row(language, order) for order in newest)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-labelledby="newest">'
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table></div>"
    )


def _row(language: Language, order: Order) -> str:
    state = _text(language(f"state_{order.state}"))
    cells = {
        "number": str(order.number),
        "item": _text(language(order.item.name)),
        "price": _text(order.item.price),
        "address": f"<code>{_text(order.address)}</code>" if order.address else "",
        "state": state + (f"<small>{_text(order.error)}</small>" if order.error else ""),
        "took": "" if order.took is None else _text(language("seconds", value=_seconds(order.took))),
        "paid_after": "" if order.paid_after is None else _text(language("seconds", value=_seconds(order.paid_after))),
        "payment": _payment(language, order),
    }
    titles = {name: _text(language(name)) for name in _COLUMNS}
    inner = "".join(f'<td data-title="{titles[name]}">{cell}</td>' for name, cell in cells.items())
    return f'<tr class="{order.state}">{inner}</tr>\n'


def _payment(language: Language, order: Order) -> str:
    if order.is_paid_by_customer:
        return _text(language("on_its_way"))
    if order.state is not State.OPEN:
        return ""
    label = _text(language("pay_order", number=order.number))
    return (
        f'<form method="post" action="/pay"><input type="hidden" name="order" value="{order.number}">'
        f'<button id="pay-{order.number}" aria-label="{label}">{_text(language("pay"))}</button></form>'
    )


def _failures(language: Language, books: Books, now: float) -> str:
    if not books.failures:
        return f"<p>{_text(language('no_failures'))}</p>"
    rows = "".join(
        f"<li>{_text(language('failure', method=one.method, seconds=_seconds(one.seconds), ago=round(now - one.at)))}: "
        f"<q>{_text(one.error)}</q></li>\n"
        for one in books.failures
    )
    return f"<ul>{rows}</ul>"


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _text(value: str) -> str:
    return escape(value, quote=True)
