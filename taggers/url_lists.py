"""The lists of Dolma's URL taggers, by the paths they have below https://dolma-artifacts.org."""

from __future__ import annotations

from typing import Literal, TypeAlias

Mode: TypeAlias = Literal["domain", "url", "adblock"]


def _below(directory: str, names: str, ending: str = ".txt") -> tuple[str, ...]:
    return tuple(f"{directory}/{name}{ending}" for name in names.split())


_PROJECT = "blocklist_project/blocklist_project-20240207"
_FIREBOG = "blocklist_firebog/blocklist_firebog-20240208"
_HOSTS = "blocklist_hosts/blocklist_hosts-20240208"
_OISD = "blocklist_oisd/blocklist_oisd-20240205"
_BRAVE = "blocklist_brave/blocklist_brave-20240206"
_PHISHING = _below("blocklist_phishing_db/blocklist_phishing_db-20240205", "domains", ".txt.gz")

WIKIDATA = _below("wikidata/wikidata-20220208", "periodical-Q1002697/response website-Q35127/response", ".json")

LISTS: dict[str, tuple[Mode, tuple[str, ...], str]] = {
    "domain_blocklist_utp_v1": (
        "domain",
        ("blocklist_utp/blocklist_utp-20240205/adult/domains",),
        "adult sites, as listed by the University of Toulouse",
    ),
    "domain_blocklist_phishing_v1": ("domain", _PHISHING, "domains of phishing, as listed by the Phishing Database"),
    "link_blocklist_phishing_v1": ("url", _PHISHING, "addresses of phishing, as listed by the Phishing Database"),
    "blocklist_project_nsfw_v1": (
        "domain",
        _below(_PROJECT, "porn"),
        "adult sites, as listed by the Block List Project",
    ),
    "blocklist_project_social_v1": (
        "domain",
        _below(_PROJECT, "facebook fortnite tiktok twitter whatsapp youtube"),
        "social networks, as listed by the Block List Project",
    ),
    "blocklist_project_crime_v1": (
        "domain",
        _below(_PROJECT, "abuse fraud malware phishing piracy ransomware scam redirect"),
        "fraud, malware, piracy, as listed by the Block List Project",
    ),
    "blocklist_project_vice_v1": (
        "domain",
        _below(_PROJECT, "crypto drugs gambling vaping"),
        "drugs, gambling, as listed by the Block List Project",
    ),
    "blocklist_project_ads_v1": (
        "domain",
        _below(_PROJECT, "adobe ads basic smart-tv tracking"),
        "advertising and tracking, as listed by the Block List Project",
    ),
    "blocklist_firebog_ads_v1": (
        "domain",
        _below(f"{_FIREBOG}/ads/blue", "hosts")
        + _below(
            f"{_FIREBOG}/ads/green",
            "AdguardDNS Admiral adservers Easylist-2 hosts-2 hosts-3 hosts serverlist simple_ad",
        ),
        "advertising, as listed by The Firebog",
    ),
    "blocklist_firebog_crypto_v1": (
        "domain",
        _below(f"{_FIREBOG}/crypto/green", "hosts_browser"),
        "coin mining, as listed by The Firebog",
    ),
    "blocklist_firebog_malicious_v1": (
        "domain",
        _below(f"{_FIREBOG}/malicious/blue", "phishing-filter-hosts Prigent-Malware")
        + _below(
            f"{_FIREBOG}/malicious/green",
            "AntiMalwareHosts hostfile hosts-2 hosts latestdomains main-blacklist Mandiant_APT1_Report_Appendix_D "
            "notrack-malware phishing_army_blocklist_extended Prigent-Crypto RPiList-Malware RPiList-Phishing "
            "simple_malvertising",
        ),
        "malware and phishing, as listed by The Firebog",
    ),
    "blocklist_firebog_nsfw_v1": (
        "domain",
        _below(f"{_FIREBOG}/nsfw/blue", "pi_blocklist_porn_top1m.list Prigent-Adult"),
        "adult sites, as listed by The Firebog",
    ),
    "blocklist_firebog_social_v1": (
        "domain",
        _below(f"{_FIREBOG}/social/blue", "facebook"),
        "social networks, as listed by The Firebog",
    ),
    "blocklist_firebog_suspicious_v1": (
        "domain",
        _below(f"{_FIREBOG}/suspicious/blue", "hosts-2 hosts-3 hosts-4 hosts-file neohostsbasic SNAFU spammers")
        + _below(f"{_FIREBOG}/suspicious/green", "hosts KADhosts w3kbl"),
        "suspicious sites, as listed by The Firebog",
    ),
    "blocklist_firebog_trackers_v1": (
        "domain",
        _below(
            f"{_FIREBOG}/trackers/blue",
            "ads-and-tracking-extended AmazonFireTV android-tracking notrack-blocklist SmartTV",
        )
        + _below(f"{_FIREBOG}/trackers/green", "Easyprivacy firstparty-trackers-hosts hosts Prigent-Ads spy"),
        "trackers, as listed by The Firebog",
    ),
    "blocklist_hosts_adware_malware_v1": (
        "domain",
        _below(_HOSTS, "adware_malware"),
        "adware and malware, as listed by Steven Black's hosts",
    ),
    "blocklist_hosts_fakenews_v1": (
        "domain",
        _below(_HOSTS, "fakenews"),
        "fake news, as listed by Steven Black's hosts",
    ),
    "blocklist_hosts_gambling_v1": (
        "domain",
        _below(_HOSTS, "gambling"),
        "gambling, as listed by Steven Black's hosts",
    ),
    "blocklist_hosts_porn_v1": ("domain", _below(_HOSTS, "porn"), "adult sites, as listed by Steven Black's hosts"),
    "blocklist_hosts_social_v1": (
        "domain",
        _below(_HOSTS, "social"),
        "social networks, as listed by Steven Black's hosts",
    ),
    "oisd_small_abp_v1": (
        "adblock",
        _below(_OISD, "oisd_small_abp", ".txt.gz"),
        "advertising, as listed by OISD in its small list",
    ),
    "oisd_big_abp_v1": (
        "adblock",
        _below(_OISD, "oisd_big_abp", ".txt.gz"),
        "advertising and malware, as listed by OISD",
    ),
    "oisd_nsfw_abp_v1": ("adblock", _below(_OISD, "oisd_nsfw_abp", ".txt.gz"), "adult sites, as listed by OISD"),
    "brave_core_abp_v1": (
        "adblock",
        _below(_BRAVE, "brave_ad_block_first_party_filters brave_ad_block_updater"),
        "advertising, as listed by Brave",
    ),
    "brave_nsfw_abp_v1": ("adblock", _below(_BRAVE, "blocklists_anti_porn"), "adult sites, as listed by Brave"),
}
"""What the lines are, the files, and what is on them, by tagger."""
