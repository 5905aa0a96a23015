// Capturing a stream's work as a graph, and replaying it.
#include <cstddef>
#include <memory>
#include <set>
#include <utility>

#include "kernels/emulation/call.hpp"
#include "kernels/emulation/stream.hpp"

namespace posetape::emulation {
namespace {

std::set<CUgraph_st*> graphs;
std::set<CUgraphExec_st*> executables;

void mark_ancestors(const std::vector<Node>& nodes, std::vector<int> left,
                    std::vector<bool>& seen) {
  while (!left.empty()) {
    const auto node = static_cast<std::size_t>(left.back());
    left.pop_back();
    if (seen[node]) continue;
    seen[node] = true;
    left.insert(left.end(), nodes[node].after.begin(), nodes[node].after.end());
  }
}

// Every stream that joined the capture has to be waited for by the one that began it.
bool is_joined(const Capture& capture) {
  std::vector<bool> seen(capture.nodes.size(), false);
  mark_ancestors(capture.nodes, capture.origin->frontier, seen);
  for (const CUstream_st* stream : streams_in(capture)) {
    for (const int node : stream->frontier) {
      if (!seen[static_cast<std::size_t>(node)]) return false;
    }
  }
  return true;
}

void leave_capture(const Capture& capture) {
  const std::vector<CUstream_st*> all = streams_in(capture);
  for (CUstream_st* stream : all) stream->frontier.clear();
  for (CUstream_st* stream : all) stream->capture = nullptr;
}

}  // namespace

std::string graph_leaks() {
  std::string text;
  for (std::size_t i = 0; i < graphs.size(); ++i) text += "a graph\n";
  for (std::size_t i = 0; i < executables.size(); ++i) text += "an executable graph\n";
  return text;
}

void reset_graphs() {
  for (CUgraph_st* graph : graphs) delete graph;
  for (CUgraphExec_st* executable : executables) delete executable;
  graphs.clear();
  executables.clear();
}

}  // namespace posetape::emulation

using namespace posetape::emulation;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return call("cudaStreamBeginCapture", [&] {
    if (stream == nullptr) return cudaErrorStreamCaptureUnsupported;
    CUstream_st* found = find_stream(stream);
    if (found == nullptr) return cudaErrorInvalidResourceHandle;
    if (found->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
    found->capture = std::make_shared<Capture>();
    found->capture->origin = found;
    found->capture->mode = mode;
    found->frontier.clear();
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return call("cudaStreamEndCapture", [&] {
    const CUstream_st* found = find_stream(stream);
    if (found == nullptr) return cudaErrorInvalidResourceHandle;
    if (graph == nullptr || found->capture == nullptr) return cudaErrorInvalidValue;
    const std::shared_ptr<Capture> capture = found->capture;
    *graph = nullptr;
    if (capture->origin != found) return cudaErrorStreamCaptureUnmatched;
    const bool joined = is_joined(*capture);
    leave_capture(*capture);
    if (!capture->valid) return cudaErrorStreamCaptureInvalidated;
    if (!joined) return cudaErrorStreamCaptureUnjoined;
    auto made = std::make_unique<CUgraph_st>();
    made->nodes = std::move(capture->nodes);
    capture->nodes.clear();
    *graph = made.release();
    graphs.insert(*graph);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return call("cudaStreamIsCapturing", [&] {
    const CUstream_st* found = find_stream(stream);
    if (found == nullptr) return cudaErrorInvalidResourceHandle;
    if (status == nullptr) return cudaErrorInvalidValue;
    *status = cudaStreamCaptureStatusNone;
    if (found->capture != nullptr) {
      *status = found->capture->valid ? cudaStreamCaptureStatusActive
                                      : cudaStreamCaptureStatusInvalidated;
    }
    return cudaSuccess;
  });
}

// Counts the nodes; the nodes themselves are not given out.
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  return call("cudaGraphGetNodes", [&] {
    if (!graphs.contains(graph) || count == nullptr) return cudaErrorInvalidValue;
    if (nodes != nullptr) return cudaErrorNotSupported;
    *count = graph->nodes.size();
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long flags) {
  return call("cudaGraphInstantiate", [&] {
    if (executable == nullptr || !graphs.contains(graph) || flags != 0) {
      return cudaErrorInvalidValue;
    }
    *executable = new CUgraphExec_st{graph->nodes};
    executables.insert(*executable);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return call("cudaGraphLaunch", [&] {
    if (!executables.contains(executable)) return cudaErrorInvalidValue;
    if (const cudaError_t error = check_stream(stream)) return error;
    CUstream_st& found = *find_stream(stream);
    if (found.capture != nullptr) return cudaErrorNotSupported;  // a graph in a graph
    const WorkId begin = submit_to(found, {}, [] {});
    std::vector<WorkId> ids;
    for (const Node& node : executable->nodes) {
      std::vector<WorkId> after = {begin};
      for (const int other : node.after) after.push_back(ids[static_cast<std::size_t>(other)]);
      ids.push_back(add_work(std::move(after), node.run));
    }
    submit_to(found, std::move(ids), [] {});
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return call("cudaGraphExecDestroy", [&] {
    if (executables.erase(executable) == 0) return cudaErrorInvalidValue;
    delete executable;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return call("cudaGraphDestroy", [&] {
    if (graphs.erase(graph) == 0) return cudaErrorInvalidValue;
    delete graph;
    return cudaSuccess;
  });
}
