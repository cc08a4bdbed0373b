"""Texts that would run, load or break out of a page that does not escape them."""

from __future__ import annotations

MARK = "hacked"
"""What each of them would set on the window, if it ran."""
RUN = f"window.{MARK}=1"

TEXTS = (
    f"<script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f"<ScRiPt>{RUN}</sCrIpT>",
    f"<script src=//127.0.0.1:9/x.js></script><script>{RUN}//",
    f"<img src=x onerror={RUN}>",
    f'"><img src=x onerror="{RUN}">',
    f"'><img src=x onerror='{RUN}'>",
    f"<svg onload={RUN}>",
    f"<svg><script>{RUN}</script></svg>",
    f"</svg><script>{RUN}</script><svg>",
    f"</title><script>{RUN}</script>",
    f"</style><script>{RUN}</script>",
    f"</pre><script>{RUN}</script>",
    f"</textarea><script>{RUN}</script>",
    f"<!--><script>{RUN}</script>-->",
    f"--><script>{RUN}</script><!--",
    f"]]><script>{RUN}</script>",
    f"<![CDATA[<script>{RUN}</script>]]>",
    f"<body onload={RUN}>",
    f"<input autofocus onfocus={RUN}>",
    f"<details open ontoggle={RUN}>x</details>",
    f"<video><source onerror={RUN}></video>",
    f"<audio src=x onerror={RUN}>",
    f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    f"<iframe src=javascript:parent.{RUN}></iframe>",
    f"<object data=javascript:{RUN}></object>",
    f"<embed src=javascript:{RUN}>",
    f"<a href=javascript:{RUN}>click</a>",
    f'<a href="&#106;avascript:{RUN}">click</a>',
    f"<form action=javascript:{RUN}><button autofocus>x</button></form>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={RUN}>",
    f'<noscript><p title="</noscript><img src=x onerror={RUN}>">',
    f"<template><script>{RUN}</script></template>",
    "<base href=//127.0.0.1:9/>",
    "<link rel=stylesheet href=//127.0.0.1:9/x.css>",
    "<meta http-equiv=refresh content='0;url=//127.0.0.1:9/'>",
    "<style>*{background:url(//127.0.0.1:9/x)}</style>",
    f"{{{{ ''.__class__.__mro__ }}}}{{% raw %}}<script>{RUN}</script>",
    f"\x1b]0;title\x07\x00<\x00script>{RUN}</\x00script>\ud800\ufffe\u202e",
    f"`</code><script>{RUN}</script>`",
)
