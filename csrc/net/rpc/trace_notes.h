// How the request path's ends are told to the traces of sampled requests; nothing where there is no trace.
#pragma once

#include <memory>

#include "net/request_end.h"
#include "net/rpc/batch_carrier.h"
#include "net/tracer.h"

namespace mark::net {

void note_answer(const std::shared_ptr<RequestTrace>& trace);
void note_end(const std::shared_ptr<RequestTrace>& trace, const RequestEnd& end);
void note_left(const std::shared_ptr<RequestTrace>& trace, TimeNs deadline);  // the client has, or its time was up
void note_sent(const std::shared_ptr<BatchTrace>& trace, const BatchCarrier& carrier);
void note_result(const std::shared_ptr<BatchTrace>& trace, const BatchResult& result);

}  // namespace mark::net
