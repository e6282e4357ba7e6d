"""Who descends from whom in a graph of calls."""

from keras_layer_prune import _keras_private as private


class Lineage:
    """Ancestors, makers and users of the tensors of one functional graph.

    Args:
        functional: Functional model.

    Attributes:
        calls: List of the graph's calls, in running order.
    """

    def __init__(self, functional):
        self.calls = private.calls(functional)
        self._results = {id(x) for x in functional.outputs}
        self._makers: dict[int, private.Call] = {}
        self._users: dict[int, list[private.Call]] = {}
        # One bit for each tensor: whole sets are joined in one operation.
        self._bits: dict[int, int] = {}
        self._ancestors: dict[int, int] = {}
        for tensor in functional.inputs:
            self._note(tensor, 0)
        for call in self.calls:
            self._note_call(call)

    def _note_call(self, call):
        ancestors = 0
        for tensor in call.inputs:
            ancestors |= self._ancestors[id(tensor)]
            self._users.setdefault(id(tensor), []).append(call)
        for tensor in call.outputs:
            self._makers[id(tensor)] = call
            self._note(tensor, ancestors)

    def _note(self, tensor, ancestors):
        self._bits[id(tensor)] = 1 << len(self._bits)
        self._ancestors[id(tensor)] = ancestors | self._bits[id(tensor)]

    def maker(self, tensor):
        """The call that made a tensor; None for an input."""
        return self._makers.get(id(tensor))

    def takers(self, tensor) -> list:
        """The calls that alone need a tensor; none if the graph returns it."""
        is_result = id(tensor) in self._results
        return [] if is_result else self._users.get(id(tensor), [])

    def descends(self, tensor, ancestor) -> bool:
        """Whether a tensor depends on another one, or is it."""
        return bool(self._ancestors[id(tensor)] & self._bits[id(ancestor)])

    def have_common_ancestor(self, tensors) -> bool:
        """Whether all tensors depend on one tensor."""
        common = -1
        for tensor in tensors:
            common &= self._ancestors[id(tensor)]
        return common != 0

    def calls_between(self, source, tensor, besides) -> list:
        """Calls on the ways from one tensor to another, in running order.

        Args:
            source: Tensor where the ways begin.
            tensor: Tensor where they end.
            besides: Tensor; what it depends on is left out.

        Returns:
            List of calls.
        """
        kept, seen, waiting = [], set(), [tensor]
        while waiting:
            call = self.maker(waiting.pop())
            if call is None or id(call.outputs[0]) in seen:
                continue
            seen.add(id(call.outputs[0]))
            made = call.outputs
            if any(self.descends(besides, x) for x in made):
                continue
            if any(self.descends(x, source) for x in made):
                kept.append(call)
                waiting.extend(call.inputs)
        return sorted(kept, key=lambda call: self._bits[id(call.outputs[0])])

    def calls_only_for(self, tensor, user) -> list:
        """Calls that nothing needs once one call no longer takes a tensor.

        Args:
            tensor: Tensor.
            user: The call that takes it now.

        Returns:
            List of calls, in running order.
        """
        if not self._is_only_use(tensor, user):
            return []
        kept, waiting = [], [tensor]
        dropped: set[int] = set()
        while waiting:
            call = self.maker(waiting.pop())
            if call is None or id(call.outputs[0]) in dropped:
                continue
            if all(self._is_unused(x, dropped, tensor) for x in call.outputs):
                dropped.add(id(call.outputs[0]))
                kept.append(call)
                waiting.extend(call.inputs)
        return sorted(kept, key=lambda call: self._bits[id(call.outputs[0])])

    def _is_only_use(self, tensor, user) -> bool:
        is_result = id(tensor) in self._results
        users = {id(call.outputs[0]) for call in self._users[id(tensor)]}
        return not is_result and users == {id(user.outputs[0])}

    def _is_unused(self, tensor, dropped, end) -> bool:
        if tensor is end:
            return True
        users = self._users.get(id(tensor), [])
        return id(tensor) not in self._results and all(
            id(call.outputs[0]) in dropped for call in users
        )
