// Backward through the stack, the last layer first. For each: the recurrence of its directions,
// then, chunk by chunk of frames, everything dz is good for. With checkpoints both are done segment
// by segment, the segment's gates and c having been restored before.
//
// Frames are summed in the order in which the recurrence goes back through them, so that segments
// make no difference to the bits.
#include <algorithm>
#include <cstring>

#include "dispatch.hpp"
#include "stack.hpp"
#include "stack_team.hpp"

namespace lstm_native {
namespace {

template <class T>
class BackwardStack {
 public:
  BackwardStack(Tape<T>& tape, const Gradients<T>& gradients)
      : tape_(tape),
        config_(tape.config()),
        schedule_(tape.sequences().schedule),
        gradients_(gradients),
        plan_(plan_stack<T>(config_, schedule_, Pass::backward, tape.dropout().active())),
        inner_offsets_(Offsets::packed(schedule_, config_.frame_size())),
        dx_in_cells_(!config_.bidirectional && !config_.projected() && !tape.kept()) {
    const Index D = config_.directions(), H = config_.hidden_size, P = config_.output_size();
    const Kernels<T>& k = kernels<T>();
    const Index widest =
        std::max(config_.input_size, config_.num_layers > 1 ? config_.frame_size() : Index{0});
    for (Index d = 0; d < D; ++d) {
      Transposed& weights = transposed_[d];
      weights.input = Buffer<T>(k.panel_size(4 * H, widest));
      weights.recurrent = Buffer<T>(k.panel_size(4 * H, P));
      if (config_.projected()) weights.projection = Buffer<T>(k.panel_size(P, H));
    }
    Index frames = schedule_.frames();  // at hand at a time
    if (tape_.kept()) {
      frames = longest_segment();
      gates_ = Buffer<T>(checked_product(frames, 4 * H));
      cells_ = Buffer<T>(checked_product(frames, H));
    }
    dh_offset_ = checked_product(config_.projected() ? frames : schedule_.batch(), P);
    dh_ = Buffer<T>(checked_product(D, dh_offset_));
    if (config_.projected())
      d_cell_output_ = Buffer<T>(checked_product(D, checked_product(schedule_.batch(), H)));
    if (schedule_.view().anew) zeros_ = zero_buffer<T>(4 * H);
    const Index inner = checked_product(schedule_.frames(), config_.frame_size());
    for (Index l = 0; l + 1 < config_.num_layers && l < 2 && !dx_in_cells_; ++l)
      inner_dx_.emplace_back(inner);

    chunk_ = std::clamp(schedule_.frames(), Index{1}, chunk_frames);
    panels_ = Buffer<T>(k.panel_size(chunk_, widest) + k.panel_size(chunk_, P) +
                        (config_.projected() ? k.panel_size(chunk_, H) : 0));
    for (int thread = 0; thread < plan_.threads; ++thread) {
      pointers_.emplace_back(chunk_);
      left_.emplace_back(chunk_ * k.left_columns);
    }
  }

  void run() {
    if (schedule_.frames() == 0) {
      if (!gradients_.add) std::fill_n(gradients_.d_parameters, config_.parameters(), T(0));
      return;
    }
    run_team(plan_.threads, [this](const Team& team) {
      for (Index l = config_.num_layers - 1; l >= 0 && !team.stopped(); --l) run_layer(l, team);
    });
  }

 private:
  struct Transposed {
    Buffer<T> input, recurrent, projection;
  };
  // Where all that belongs to the frames of a chunk stands. Each thread has its own.
  struct Pointers {
    explicit Pointers(Index count)
        : x(count), h_prev(count), dz(count), dh(count), cell_output(count), dx(count) {}
    std::vector<const T*> x, h_prev, dz, dh, cell_output;  // the last two only when projected
    std::vector<T*> dx;
  };
  // Gates and c of a layer and direction from frame `begin` on.
  struct Memory {
    T *gates, *cells;
    Index begin;
  };

  TransposedLayer<T> transposed(Index direction) {
    Transposed& weights = transposed_[direction];
    return {weights.input.data(), weights.recurrent.data(), weights.projection.data()};
  }

  // d of the input of a layer above the first, [F, D * P].
  T* inner_dx(Index layer) {
    return dx_in_cells_ ? tape_.cells(layer, 0) : inner_dx_[(layer - 1) % 2].data();
  }

  // d of a layer's input; of layer 0 the caller's memory.
  Frames<T> dx(Index layer) {
    return layer == 0 ? gradients_.dx_offsets.at(gradients_.dx)
                      : inner_offsets_.at(inner_dx(layer));
  }

  Frames<const T> x(Index layer) {
    if (layer == 0) return tape_.sequences().x_offsets.at(tape_.sequences().x);
    return tape_.dropout().active()
               ? inner_offsets_.at(static_cast<const T*>(tape_.dropped(layer - 1)))
               : y(layer - 1);
  }

  Frames<const T> y(Index layer) {
    const Frames<T> output = last(layer) || tape_.sequences().y_stride != 0
                                 ? tape_.sequences().output(below_last(layer))
                                 : inner_offsets_.at(tape_.output(layer));
    return {output.base, output.step, output.row};
  }

  Index below_last(Index layer) const { return config_.num_layers - 1 - layer; }
  bool last(Index layer) const { return below_last(layer) == 0; }

  void run_layer(Index layer, const Team& team) {
    const Index D = config_.directions();
    for (Index d = 0; d < D; ++d)
      kernels<T>().transpose(tape_.weights().layer(layer, d), transposed(d), output_part(team));
    team.wait();
    if (tape_.kept()) {
      for (Index d = 0; d < D; ++d) run_segments(layer, d, team);
    } else {
      for_directions(D, plan_.of(layer), team, [&](Index direction, const Team& members) {
        recur(layer, direction, {0, schedule_.steps()}, recorded(layer, direction), members);
      });
      team.wait();
      for (Index d = 0; d < D; ++d)
        gradients(layer, d, {0, schedule_.frames()}, recorded(layer, d), true, team);
    }
    if (team.stopped()) return;  // somebody may still be reading
    if (team.rank() == 0) {
      tape_.release_gates(layer);
      if (!last(layer) || !dx_in_cells_) tape_.release_cells(dx_in_cells_ ? layer + 1 : layer);
    }
    if (layer > 0) finish_inner_dx(layer, team);
  }

  // d of this layer's input goes back through the dropout below it, and what the caller gives for
  // the output of the layer below is added. Nobody reads it before that layer's weights have been
  // transposed, for which all wait.
  void finish_inner_dx(Index layer, const Team& team) {
    const Frames<const T> given = gradients_.dy.at(below_last(layer - 1));
    if (!tape_.dropout().active() && !given.base) return;
    const Index width = config_.frame_size();
    T* d = inner_dx(layer);
    for_pieces(schedule_.frames(), width, team, [&](const Range& frames) {
      if (tape_.dropout().active())
        tape_.dropout().apply(layer - 1, d, d, frames.begin * width, frames.end * width);
      if (given.base)
        for_frames(schedule_, frames, [&](Index frame, Index t, Index r) {
          const T* from = given.base + given.step[t] + given.row[r];
          for (Index j = 0; j < width; ++j) d[frame * width + j] += from[j];
        });
    });
  }

  Memory recorded(Index layer, Index direction) {
    return {tape_.gates(layer, direction), tape_.cells(layer, direction), 0};
  }

  Index segments() const { return static_cast<Index>(tape_.borders().size()) - 1; }

  Range segment(Index index) const { return {tape_.borders()[index], tape_.borders()[index + 1]}; }

  // A segment stands in memory with the step before it, of which forwards c is asked for and in
  // reverse dz, and the step after it, of which it is the other way round.
  Range frames_around(const Range& steps) const {
    const Index* first = schedule_.view().first;
    return {first[std::max(steps.begin - 1, Index{0})],
            first[std::min(steps.end + 1, schedule_.steps())]};
  }

  Index longest_segment() const {
    Index longest = 0;
    for (Index s = 0; s < segments(); ++s) {
      const Range frames = frames_around(segment(s));
      longest = std::max(longest, frames.end - frames.begin);
    }
    return longest;
  }

  void run_segments(Index layer, Index direction, const Team& team) {
    const Index* first = schedule_.view().first;
    for (Index i = 0; i < segments() && !team.stopped(); ++i) {
      const Index s = direction == 0 ? segments() - 1 - i : i;
      const Range steps = segment(s);
      const Memory memory{gates_.data(), cells_.data(), frames_around(steps).begin};
      if (i > 0) keep_dz(direction, segment(direction == 0 ? s + 1 : s - 1), memory, team);
      take_cells(layer, direction, steps, memory, team);
      team.wait();
      restore(layer, direction, steps, memory, team);
      team.wait();
      recur(layer, direction, steps, memory, team);
      team.wait();
      gradients(layer, direction, {first[steps.begin], first[steps.end]}, memory, i == 0, team);
    }
  }

  // dz of the last step of segment `from` that the scan went back to, into the memory of the next.
  void keep_dz(Index direction, const Range& from, const Memory& to, const Team& team) {
    const Index step = direction == 0 ? from.begin : from.end - 1, width = 4 * config_.hidden_size;
    const Index frame = schedule_.view().first[step];
    const Range rows = team_range(schedule_.view().rows[step], team);
    std::memmove(to.gates + (frame + rows.begin - to.begin) * width,
                 to.gates + (frame + rows.begin - frames_around(from).begin) * width,
                 static_cast<std::size_t>((rows.end - rows.begin) * width) * sizeof(T));
  }

  // c of the step before the scan entered the segment.
  void take_cells(Index layer, Index direction, const Range& steps, const Memory& to,
                  const Team& team) {
    const Index border = direction == 0 ? steps.begin : steps.end, H = config_.hidden_size;
    if (border == 0 || border == schedule_.steps()) return;
    const Index step = direction == 0 ? border - 1 : border;
    const T* kept = tape_.cells(layer, direction) + tape_.kept()[border] * H;
    const Range rows = team_range(schedule_.view().rows[step], team);
    std::copy(kept + rows.begin * H, kept + rows.end * H,
              to.cells + (schedule_.view().first[step] + rows.begin - to.begin) * H);
  }

  void restore(Index layer, Index direction, const Range& steps, const Memory& to,
               const Team& team) {
    const Index* first = schedule_.view().first;
    Pointers& pointers = pointers_[team.rank()];
    RestorePass<T> pass{};
    pass.weights = tape_.weights().layer(layer, direction);
    pass.reverse = direction == 1;
    pass.steps = schedule_.view(pass.reverse);
    pass.x = pointers.x.data();
    pass.h_prev = pointers.h_prev.data();
    pass.c_0 = tape_.c_0(layer, direction);
    pass.zeros = zeros_.data();
    pass.gates = to.gates;
    pass.cells = to.cells;
    pass.frame_begin = to.begin;
    Part part = output_part(team);
    for (pass.first = first[steps.begin]; pass.first < first[steps.end] && !team.stopped();
         pass.first += chunk_) {
      pass.frames = std::min(chunk_, first[steps.end] - pass.first);
      point(layer, direction, {pass.first, pass.first + pass.frames}, to, false, pointers);
      kernels<T>().restore(pass, part);
    }
    pass.frames = 0;
    part.step_begin = steps.begin;
    part.step_end = steps.end;
    part.row_end = schedule_.batch();
    kernels<T>().restore(pass, part);
  }

  void recur(Index layer, Index direction, const Range& steps, const Memory& memory,
             const Team& team) {
    const Index H = config_.hidden_size, P = config_.output_size(), N = schedule_.batch();
    const Index state = layer * config_.directions() + direction;
    BackwardPass<T> pass{};
    pass.weights = transposed(direction);
    pass.hidden = H;
    pass.output = P;
    pass.projected = config_.projected();
    pass.reverse = direction == 1;
    pass.steps = schedule_.view(pass.reverse);
    pass.gates = memory.gates;
    pass.cells = memory.cells;
    pass.frame_begin = memory.begin;
    pass.c_0 = tape_.c_0(layer, direction);
    if (!last(layer))
      pass.dy = inner_offsets_.at(static_cast<const T*>(inner_dx(layer + 1)));
    else
      pass.dy = gradients_.dy.at(0);
    if (pass.dy.base) pass.dy.base += direction * P;
    pass.d_c_frames = gradients_.d_cells.at(below_last(layer));
    if (pass.d_c_frames.base) pass.d_c_frames.base += direction * H;
    pass.zeros = zeros_.data();
    pass.dh = gradients_.dh + state * N * P;
    pass.dc = gradients_.dc + state * N * H;
    pass.dh_frames = dh_.data() + direction * dh_offset_;
    if (pass.projected) pass.d_cell_output = d_cell_output_.data() + direction * N * H;
    for_stretches(plan_.of(layer), schedule_, steps, direction == 0, team,
                  [&](const Part& part) { kernels<T>().backward(pass, part); });
  }

  // Everything that is summed over these frames, as they stand in `memory`; `first` of all.
  void gradients(Index layer, Index direction, const Range& frames, const Memory& memory,
                 bool first, const Team& team) {
    const bool descending = direction == 0;
    for (Index done = 0, count; done < frames.end - frames.begin && !team.stopped();
         done += count) {
      count = std::min(chunk_, frames.end - frames.begin - done);
      const Index begin = descending ? frames.end - done - count : frames.begin + done;
      Pointers& pointers = pointers_[team.rank()];
      point(layer, direction, {begin, begin + count}, memory, descending, pointers);
      chunk_gradients(layer, direction, count, pointers, gradients_.add || !first || done > 0,
                      team);
    }
  }

  void chunk_gradients(Index layer, Index direction, Index count, const Pointers& pointers,
                       bool add, const Team& team) {
    const auto d = layer_parameters(config_, gradients_.d_parameters, layer, direction);
    GradientPass<T> pass{};
    pass.input_size = config_.layer_input(layer);
    pass.hidden = config_.hidden_size;
    pass.output = config_.output_size();
    pass.projected = config_.projected();
    pass.frames = count;
    pass.dz = pointers.dz.data();
    pass.x = pointers.x.data();
    pass.h_prev = pointers.h_prev.data();
    pass.dx = pointers.dx.data();
    pass.add_dx = direction == 1;
    pass.dh = pointers.dh.data();
    pass.cell_output = pointers.cell_output.data();
    pass.weight_ih = transposed_[direction].input.data();
    pass.panels = panels_.data();
    pass.left = left_[team.rank()].data();
    pass.add_d = add;
    pass.d_weight_ih = d.weight_ih;
    pass.d_weight_hh = d.weight_hh;
    pass.d_bias_ih = d.bias_ih;
    pass.d_bias_hh = d.bias_hh;
    pass.d_weight_hr = d.weight_hr;
    Part part = output_part(team);
    const Range frames = team_range(count, team);
    part.row_begin = frames.begin;
    part.row_end = frames.end;
    kernels<T>().gradients(pass, part);
  }

  // Fills in where tape frames stand whose gates and c are in `memory`: the first of them at 0, or
  // if `descending` the last.
  void point(Index layer, Index direction, const Range& frames, const Memory& memory,
             bool descending, Pointers& pointers) {
    const Steps steps = schedule_.view(direction == 1);
    const Index H = config_.hidden_size, P = config_.output_size();
    const Frames<const T> from = x(layer);
    const Frames<T> to = dx(layer);
    Frames<const T> h = y(layer);
    h.base += direction * P;
    for_frames(schedule_, frames, [&](Index frame, Index t, Index r) {
      const Index before = direction == 1 ? t + 1 : t - 1;
      const bool begins = before < 0 || before == steps.steps || r >= steps.rows[before];
      const Index f = descending ? frames.end - 1 - frame : frame - frames.begin;
      const Index kept = frame - memory.begin;  // its place in memory
      pointers.x[f] = from.base + from.step[t] + from.row[r];
      pointers.dx[f] = to.base + to.step[t] + to.row[r];
      pointers.h_prev[f] = steps.anew && steps.anew[frame] ? zeros_.data()
                           : begins ? tape_.h_0(layer, direction) + steps.order[r] * P
                                    : h.base + h.step[before] + h.row[r];
      pointers.dz[f] = memory.gates + kept * 4 * H;
      if (!config_.projected()) return;
      pointers.cell_output[f] = memory.cells + kept * H;
      pointers.dh[f] = dh_.data() + direction * dh_offset_ + kept * P;
    });
  }

  Tape<T>& tape_;
  const Config& config_;
  const Schedule& schedule_;
  const Gradients<T>& gradients_;
  const StackPlan plan_;
  const Offsets inner_offsets_;
  const bool dx_in_cells_;  // a layer's d input takes the place of its c, which is as large
  Index dh_offset_;         // from one direction's dh to the other's
  Transposed transposed_[2];
  Buffer<T> gates_, cells_;  // of one segment
  Buffer<T> dh_, d_cell_output_, panels_, zeros_;
  std::vector<Buffer<T>> inner_dx_, left_;
  std::vector<Pointers> pointers_;
  Index chunk_;
};

}  // namespace

template <class T>
bool backward(Tape<T>& tape, const Gradients<T>& gradients) {
  if (tape.consumed()) return false;
  BackwardStack<T> stack(tape, gradients);  // all memory is had before anything is spent
  if (!tape.consume()) return false;        // by another thread meanwhile
  stack.run();
  tape.release();
  return true;
}

template bool backward(Tape<float>&, const Gradients<float>&);
template bool backward(Tape<double>&, const Gradients<double>&);

}  // namespace lstm_native
