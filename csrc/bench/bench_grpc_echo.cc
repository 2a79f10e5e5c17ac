// A server that answers every unary call with its own message, for a load generator to call: how many calls the native
// ingress takes without any work behind it. Prints its address as one JSON object; counts when its input ends.
//
// usage: bench_grpc_echo [ADDRESS [THREADS]]
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <utility>

#include "net/rpc/grpc_server.h"
#include "net/rpc/oip_methods.h"

namespace {

class Echo final : public mark::net::UnaryHandler {
 public:
  void on_call(mark::net::CallLoop& calls, mark::net::UnaryCall call) override {
    calls.reply(call.id, std::move(call.message));
  }
  void on_cancelled(mark::net::CallLoop& /*calls*/, mark::net::CallId /*call*/) override {}
};

}  // namespace

int main(int count, char* const* arguments) {
  try {
    mark::net::GrpcServerParams params;
    params.address = count > 1 ? arguments[1] : "127.0.0.1:0";
    params.threads = count > 2 ? static_cast<int>(std::strtol(arguments[2], nullptr, 10)) : 1;  // 0 is refused below
    Echo echo;
    mark::net::GrpcServer server(params);
    server.handle(mark::net::kModelInferMethod, echo);
    server.start();
    std::printf("{\"address\": \"%s\"}\n", server.address().c_str());
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
    server.stop();
    const mark::net::GrpcServerCounts counts = server.counts();
    std::printf("{\"connections\": %llu, \"calls\": %llu, \"cancelled\": %llu, \"hostile\": %llu}\n",
                static_cast<unsigned long long>(counts.connections), static_cast<unsigned long long>(counts.calls),
                static_cast<unsigned long long>(counts.calls_cancelled),
                static_cast<unsigned long long>(counts.connections_hostile));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
