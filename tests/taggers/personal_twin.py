"""A slow twin of `pii_v1`: each kind by a rule that is tried at each place where it may begin."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

KINDS = ["EMAIL_ADDRESS", "PHONE_NUMBER", "IPV4", "IPV6", "IBAN", "CREDIT_CARD", "US_SSN", "API_KEY"]
Find = tuple[int, int, str]
IBANS = {"DE": 22, "GB": 22, "NL": 18, "FR": 27, "NO": 15}
"""Lengths of those that the tests have."""
SEPARATOR = r"(?:\)[ -]|[ ]\(|[ .()-])"
KEYS = [
    r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9_])",
    r"gh[pousr]_[A-Za-z0-9]{36}(?![A-Za-z0-9_])",
    r"github_pat_[A-Za-z0-9_]{82}(?![A-Za-z0-9_])",
    r"glpat-[A-Za-z0-9_-]{20}(?![A-Za-z0-9_-])",
    r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9_])",
    r"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",
    r"[sr]k_live_[A-Za-z0-9]{16,}",
    r"xox[abprs]-[A-Za-z0-9-]{9,}[A-Za-z0-9]",
    r"(?<!-)eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
]
NAME = r"[^\n-]{0,30}PRIVATE KEY(?: BLOCK)?"
PEM = rf"-----BEGIN ({NAME})-----(?:[^-]|-(?!----))*-----END \1-----|-----BEGIN {NAME}-----"


def emails(text: str) -> Iterator[Find]:
    for at in (m.start() for m in re.finditer("@", text)):
        local = re.sub(r"^[.'-]+", "", re.findall(r"[A-Za-z0-9._%+'-]*\Z", text[:at])[0])
        start = at - len(local)
        run = re.match(r"[A-Za-z0-9.-]*", text[at + 1 :])
        domain = (run[0] if run else "").rstrip(".-")
        end = at + 1 + len(domain)
        labels = domain.split(".")
        cut = run is not None and len(run[0]) > len(domain)
        if (
            1 <= len(local) <= 64
            and not local.endswith(".")
            and ".." not in local
            and not re.search(r"[\w@]\Z", text[:start])
            and len(labels) > 1
            and all(re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", label) for label in labels)
            and re.fullmatch(r"[A-Za-z]{2,}", labels[-1])
            and (cut or not re.match(r"[\w@]", text[end:]))
        ):
            yield start, end, "EMAIL_ADDRESS"


def ipv6(text: str) -> Iterator[Find]:
    for match in re.finditer(r"[0-9a-fA-F]*:(?=[0-9a-fA-F:])[0-9a-fA-F:.]*", text):
        address = match[0].rstrip(".")
        while re.search(r"(?<!:):\Z", address):
            address = address[:-1].rstrip(".")
        start, end = match.start(), match.start() + len(address)
        groups = [g for g in address.split(":") if g]
        try:
            ipaddress.IPv6Address(address)
        except ValueError:
            continue
        good = len(groups) >= 3 or re.fullmatch(r"(?=.*\d)[0-9a-fA-F]{4}", address.split(":")[0])
        if good and not re.search(r"\w\Z", text[:start]) and not re.match(r"\w", text[end:]):
            yield start, end, "IPV6"


def luhn(digits: str) -> bool:
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d // 10 + d % 10 for d in doubled) % 10 == 0


def is_card(found: str) -> bool:
    digits = re.sub(r"\D", "", found)
    issuers = [
        r"4\d{12}(\d{3}(\d{3})?)?",
        r"(5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}",
        r"3[47]\d{13}",
        r"6011\d{12}",
        r"64[4-9]\d{13}",
        r"6[25]\d{14,17}",
        r"35(2[89]|[3-8]\d)\d{12}",
        r"3(0[0-5]|[689]\d)\d{11}",
    ]
    return any(re.fullmatch(rule, digits) for rule in issuers) and luhn(digits)


def is_iban(found: str) -> bool:
    compact = found.replace(" ", "")
    moved = compact[4:] + compact[:4]
    return int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def number_at(text: str, at: int) -> Find | None:
    before = text[:at]
    end = r"(?![\w])(?![.-][A-Za-z0-9])"

    def match(rule: str) -> str:
        found = re.compile(f"(?:{rule}){end}", re.ASCII).match(text, at)
        return found[0] if found and not re.match(r"\w", text[found.end() :]) else ""

    if re.search(r"[A-Z]\Z", before):
        length = IBANS.get(before[-2:], 0)
        if not length or re.search(r"\w\Z", before[:-2]):
            return None
        start = at - 2
        groups = [r"[A-Z0-9]{4}"] * ((length - 4) // 4) + [rf"[A-Z0-9]{{{length % 4}}}"] * (length % 4 > 0)
        for rule in (r"\d\d" + "".join(groups), r"\d\d " + " ".join(groups)):
            found = re.compile(rule, re.ASCII).match(text, at)
            if found and not re.match(r"\w", text[found.end() :]) and is_iban(text[start : found.end()]):
                return start, found.end(), "IBAN"
        return None
    if re.search(r"\w\Z", before) or re.search(r"\w[.,/-]\Z", before):
        return None
    if before.endswith("+"):
        run = re.compile(rf"\d+(?:{SEPARATOR}\d+){{0,7}}", re.ASCII).match(text, at)
        groups = re.findall(r"\d+", run[0], re.ASCII) if run else []
        least, most = (11, 11) if text[at] == "1" else (8, 15)
        while sum(map(len, groups)) > most:
            groups.pop()
        if re.search(r"\w.\Z", before, re.DOTALL) or text[at] == "0" or sum(map(len, groups)) < least:
            return None
        phone = match(SEPARATOR.join(groups))
        return (at - 1, at + len(phone), "PHONE_NUMBER") if phone else None
    card = match(r"\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}|\d{4}([ -])\d{6}\2\d{4,5}")
    if card and is_card(card):
        return at, at + len(card), "CREDIT_CARD"
    ssn = match(r"(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}")
    if ssn:
        return at, at + len(ssn), "US_SSN"
    byte = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
    ipv4 = match(rf"{byte}(?:\.{byte}){{3}}")
    if ipv4:
        return at, at + len(ipv4), "IPV4"
    exchange = r"[2-9]\d\d[ .-]\d{4}"
    if before.endswith("("):
        phone = match(rf"[2-9]\d\d(?:\)[ -]?){exchange}")
        return (at - 1, at + len(phone), "PHONE_NUMBER") if phone else None
    phone = match(rf"(?:1 ?\([2-9]\d\d\)[ -]?|(?:1[ .-])?[2-9]\d\d[ .-]){exchange}")
    return (at, at + len(phone), "PHONE_NUMBER") if phone else None


def numbers(text: str) -> Iterator[Find]:
    done = 0
    for run in re.finditer(r"\d+", text, re.ASCII):
        if run.start() >= done and (found := number_at(text, run.start())):
            done = found[1]
            yield found


def keys(text: str) -> Iterator[Find]:
    for match in re.finditer(rf"(?<!\w)(?:{'|'.join(KEYS)})|{PEM}", text):
        yield match.start(), match.end(), "API_KEY"


def personal(text: str) -> dict[str, float | list[tuple[int, int, float]]]:
    spans: dict[str, list[tuple[int, int, float]]] = {kind: [] for kind in KINDS}
    done = covered = count = 0
    every = [*emails(text), *ipv6(text), *numbers(text), *keys(text)]
    for start, end, kind in sorted(every, key=lambda f: (f[0], -f[1], KINDS.index(f[2]))):
        if start >= done:
            spans[kind].append((start, end, 1.0))
            done = end
            covered += end - start
            count += 1
    return {**spans, "doc_count": count, "doc_frac": covered / max(len(text), 1)}
