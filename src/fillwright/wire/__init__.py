"""The JSON shapes of the `/v1` API, shared by the server and the Python SDK.

What goes in and comes out: msgspec structs. Amounts are strings, always in pairs: `amount` is a decimal
string in whole tokens, `amount_units` the same in base units. Prices are decimal strings, output per input
in whole tokens; `…_bps` strings are decimal basis points, positive where the wallet is worse off. Times are
RFC 3339 in UTC with milliseconds, and `slot` stands beside them where the chain was looked at. `mode` is the
engine's mode in every answer; which side of a swap is fixed is called `swap_mode`. A value that does not
exist (yet) is null. Nothing here knows HTTP, stores or sockets; unknown fields of an answer are ignored when
it is decoded, so that a client outlives a newer server.
"""

from __future__ import annotations

from fillwright.wire.base import (
    MODE_HEADER as MODE_HEADER,
)
from fillwright.wire.base import (
    PROBLEM_TYPE as PROBLEM_TYPE,
)
from fillwright.wire.base import (
    AddressText as AddressText,
)
from fillwright.wire.base import (
    DecimalText as DecimalText,
)
from fillwright.wire.base import (
    ErrorView as ErrorView,
)
from fillwright.wire.base import (
    FeeView as FeeView,
)
from fillwright.wire.base import (
    Problem as Problem,
)
from fillwright.wire.base import (
    TimeText as TimeText,
)
from fillwright.wire.base import (
    TokenRef as TokenRef,
)
from fillwright.wire.base import (
    TokenText as TokenText,
)
from fillwright.wire.base import (
    UnitsText as UnitsText,
)
from fillwright.wire.base import (
    decode as decode,
)
from fillwright.wire.base import (
    encode as encode,
)
from fillwright.wire.events import (
    EVENT_DATA as EVENT_DATA,
)
from fillwright.wire.events import (
    AcceptedData as AcceptedData,
)
from fillwright.wire.events import (
    AttemptData as AttemptData,
)
from fillwright.wire.events import (
    BuiltData as BuiltData,
)
from fillwright.wire.events import (
    ConfirmedData as ConfirmedData,
)
from fillwright.wire.events import (
    EventData as EventData,
)
from fillwright.wire.events import (
    EventPage as EventPage,
)
from fillwright.wire.events import (
    EventView as EventView,
)
from fillwright.wire.events import (
    FailureData as FailureData,
)
from fillwright.wire.events import (
    ReasonData as ReasonData,
)
from fillwright.wire.events import (
    RetryingData as RetryingData,
)
from fillwright.wire.events import (
    RoutingData as RoutingData,
)
from fillwright.wire.events import (
    event_data as event_data,
)
from fillwright.wire.market import (
    Health as Health,
)
from fillwright.wire.market import (
    LatencyView as LatencyView,
)
from fillwright.wire.market import (
    PoolPage as PoolPage,
)
from fillwright.wire.market import (
    PoolView as PoolView,
)
from fillwright.wire.market import (
    QueueView as QueueView,
)
from fillwright.wire.market import (
    StatsView as StatsView,
)
from fillwright.wire.market import (
    StreamsView as StreamsView,
)
from fillwright.wire.market import (
    TokenPage as TokenPage,
)
from fillwright.wire.market import (
    TokenView as TokenView,
)
from fillwright.wire.market import (
    UnpricedView as UnpricedView,
)
from fillwright.wire.market import (
    WorkerView as WorkerView,
)
from fillwright.wire.orders import (
    MAX_PAGE as MAX_PAGE,
)
from fillwright.wire.orders import (
    CandidateView as CandidateView,
)
from fillwright.wire.orders import (
    FillView as FillView,
)
from fillwright.wire.orders import (
    LegView as LegView,
)
from fillwright.wire.orders import (
    OrderLinks as OrderLinks,
)
from fillwright.wire.orders import (
    OrderPage as OrderPage,
)
from fillwright.wire.orders import (
    OrderTerms as OrderTerms,
)
from fillwright.wire.orders import (
    OrderView as OrderView,
)
from fillwright.wire.orders import (
    QuoteView as QuoteView,
)
from fillwright.wire.orders import (
    RouteView as RouteView,
)
from fillwright.wire.requests import (
    MAX_CLIENT_ORDER_ID_CHARS as MAX_CLIENT_ORDER_ID_CHARS,
)
from fillwright.wire.requests import (
    MAX_HOPS as MAX_HOPS,
)
from fillwright.wire.requests import (
    MAX_LEGS as MAX_LEGS,
)
from fillwright.wire.requests import (
    MAX_LISTED as MAX_LISTED,
)
from fillwright.wire.requests import (
    MAX_PRIORITY as MAX_PRIORITY,
)
from fillwright.wire.requests import (
    ClientOrderId as ClientOrderId,
)
from fillwright.wire.requests import (
    OrderRequest as OrderRequest,
)
from fillwright.wire.requests import (
    PoolList as PoolList,
)
from fillwright.wire.requests import (
    QuoteRequest as QuoteRequest,
)
from fillwright.wire.requests import (
    VenueList as VenueList,
)
from fillwright.wire.streams import (
    ClientFrame as ClientFrame,
)
from fillwright.wire.streams import (
    EventFrame as EventFrame,
)
from fillwright.wire.streams import (
    Heartbeat as Heartbeat,
)
from fillwright.wire.streams import (
    Ping as Ping,
)
from fillwright.wire.streams import (
    ServerFrame as ServerFrame,
)
from fillwright.wire.streams import (
    StreamError as StreamError,
)
from fillwright.wire.streams import (
    Subscribe as Subscribe,
)
from fillwright.wire.streams import (
    Subscribed as Subscribed,
)
from fillwright.wire.streams import (
    Unsubscribe as Unsubscribe,
)
from fillwright.wire.streams import (
    Unsubscribed as Unsubscribed,
)
