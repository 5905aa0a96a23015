// Streams, events and graphs behind the handles (for the emulation's own files).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/emulation/runtime_api.hpp"
#include "kernels/emulation/work.hpp"

namespace posetape::emulation {

// A node of a graph, after other nodes of it by number.
struct Node {
  std::vector<int> after;
  std::function<void()> run;
};

// Capturing from cudaStreamBeginCapture to cudaStreamEndCapture, on all streams that joined.
struct Capture {
  CUstream_st* origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  bool valid = true;
  std::vector<Node> nodes;
};

}  // namespace posetape::emulation

struct CUstream_st {
  bool blocking = true;
  posetape::emulation::WorkId last = 0;
  std::shared_ptr<posetape::emulation::Capture> capture;
  std::vector<int> frontier;  // the nodes that the next captured one comes after
};

struct CUevent_st {
  bool timed = true;
  bool recorded = false;
  posetape::emulation::WorkId work = 0;
  std::shared_ptr<double> time;  // when it ran
  std::shared_ptr<posetape::emulation::Capture> capture;
  std::vector<int> frontier;
};

struct CUgraph_st {
  std::vector<posetape::emulation::Node> nodes;
};

struct CUgraphExec_st {
  std::vector<posetape::emulation::Node> nodes;
};

namespace posetape::emulation {

// The stream of a handle, null for one that does not exist.
CUstream_st* find_stream(cudaStream_t handle);

// Why the stream cannot take an operation now, or cudaSuccess. The null stream cannot while any
// blocking stream captures.
cudaError_t check_stream(cudaStream_t handle);

// Adds work at the end of the stream, or a node to the graph that it captures.
cudaError_t enqueue(cudaStream_t handle, std::function<void()> run);

// Is any capture on that forbids calls which may wait or allocate? The capture becomes invalid.
bool capture_forbids_unsafe();

// Waits for the stream, or for all.
void run_stream(CUstream_st& stream);

WorkId submit_to(CUstream_st& stream, std::vector<WorkId> after, std::function<void()> run);

// All that joined the capture.
std::vector<CUstream_st*> streams_in(const Capture& capture);

std::string stream_leaks();
void reset_streams();
std::string graph_leaks();
void reset_graphs();

}  // namespace posetape::emulation
