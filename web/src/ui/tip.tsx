/** A note beside the pointer, kept inside the window. */
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

const AWAY = 14; // px from the pointer

export function Tip(props: { x: number; y: number; children: ComponentChildren }) {
  const element = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const tip = element.current;
    if (!tip) return;
    const { width, height } = tip.getBoundingClientRect();
    const right = props.x + AWAY + width < window.innerWidth - 4;
    const below = props.y + AWAY + height < window.innerHeight - 4;
    const x = right ? props.x + AWAY : Math.max(4, props.x - AWAY - width);
    const y = below ? props.y + AWAY : Math.max(4, props.y - AWAY - height);
    tip.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
  });
  return (
    <div class="tip" ref={element} aria-hidden="true">
      {props.children}
    </div>
  );
}
